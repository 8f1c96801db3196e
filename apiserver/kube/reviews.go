package kube

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// If Kubernetes tokens are accepted the REST API needs more than its own role grants. Reviews belong to no namespace, so this
// is a ClusterRole even if the REST API serves only some namespaces:
//
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// Reviews asks Kubernetes about tokens and rights. Errors are those of k8s.io/apimachinery/pkg/api/errors, or of the connection.
type Reviews struct {
	// Client knows the kinds TokenReview and SubjectAccessReview.
	Client client.Client
}

var _ auth.Reviewer = Reviews{}

// ReviewToken implements auth.Reviewer.
func (r Reviews) ReviewToken(ctx context.Context, token, audience string) (auth.TokenReview, error) {
	review := &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}},
	}
	if err := r.Client.Create(ctx, review); err != nil {
		return auth.TokenReview{}, fmt.Errorf("having a token reviewed: %w", err)
	}
	user := review.Status.User
	answer := auth.TokenReview{
		Accepted:  review.Status.Authenticated,
		Audiences: review.Status.Audiences,
		Username:  user.Username,
		UID:       user.UID,
		Groups:    user.Groups,
		Extra:     make(map[string][]string, len(user.Extra)),
		Reason:    review.Status.Error,
	}
	for name, values := range user.Extra {
		answer.Extra[name] = values
	}
	return answer, nil
}

// ReviewAccess implements auth.Reviewer, for resources of this project's API group.
func (r Reviews) ReviewAccess(ctx context.Context, account *auth.Account, namespace, verb, resource string) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:   account.Username,
			UID:    account.UID,
			Groups: account.Groups,
			Extra:  make(map[string]authorizationv1.ExtraValue, len(account.Extra)),
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group:     v1alpha1.GroupVersion.Group,
				Version:   v1alpha1.GroupVersion.Version,
				Resource:  resource,
				Namespace: namespace,
				Verb:      verb,
			},
		},
	}
	for name, values := range account.Extra {
		review.Spec.Extra[name] = values
	}
	if err := r.Client.Create(ctx, review); err != nil {
		return false, fmt.Errorf("having the rights of %s reviewed: %w", account.Username, err)
	}
	return review.Status.Allowed, nil
}
