package apiserver

import (
	"context"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// SpiderJobs reads and writes single SpiderJobs, live. Its errors are, or wrap, those of
// k8s.io/apimachinery/pkg/api/errors, or of the connection.
type SpiderJobs interface {
	Get(ctx context.Context, namespace, name string) (*v1alpha1.SpiderJob, error)
	Create(ctx context.Context, job *v1alpha1.SpiderJob) (*v1alpha1.SpiderJob, error)
	// Cancel records a cancellation on the SpiderJob in exactly the state of the given resource version. What the given
	// cancellation leaves empty stays as it is.
	Cancel(
		ctx context.Context, namespace, name, resourceVersion string, cancellation v1alpha1.Cancellation,
	) (*v1alpha1.SpiderJob, error)
}

// Health tells how the pictures of the cluster are kept.
type Health interface {
	// Synced reports whether all of them have been complete at least once.
	Synced() bool
	// Age returns for how long nothing has been heard from Kubernetes: 0 while connected.
	Age() time.Duration
}

// handlers implements the contract. Each method finds its request checked as the middleware does.
type handlers struct {
	jobs       *view.Jobs
	spiders    *view.Spiders
	kubernetes SpiderJobs
	// kubernetesSpiders reads and writes Spiders, live.
	kubernetesSpiders Spiders
	names             nameClaims
	health            Health
	limits            Limits
	now               func() time.Time
	// stopping ends when the server begins to shut down: whoever waits is answered then, and streams end.
	stopping context.Context
	// pods reads Pods and logs, live.
	pods Pods
	// writeTime is how long an answer may take, not counting what waits on purpose.
	writeTime time.Duration
	streams   *streams
	// authenticator and authorizer are asked again about those who keep requests open.
	authenticator auth.Authenticator
	authorizer    auth.Authorizer
}

var _ contract.StrictServerInterface = (*handlers)(nil)

// kubernetesTimeout bounds how long one request may wait for Kubernetes to record something, and lookupTimeout for a read.
const (
	kubernetesTimeout = 10 * time.Second
	lookupTimeout     = 5 * time.Second
)

func (h *handlers) GetMe(ctx context.Context, _ contract.GetMeRequestObject) (contract.GetMeResponseObject, error) {
	e := exchangeOf(ctx)
	body := contract.Caller{
		UserID:    e.caller.User,
		Namespace: e.caller.Namespace,
		KeyName:   optional(&e.caller.KeyName),
		KeyID:     optional(&e.caller.KeyID),
	}
	if account := e.caller.Account; account != nil {
		body.ServiceAccount = new(account.Name)
	}
	if expires := e.caller.ExpiresAt; !expires.IsZero() {
		body.ExpiresAt = new(expires.UTC())
	}
	body.Limits.RequestsPerSecond = h.limits.RequestsPerSecond
	body.Limits.Burst = h.limits.Burst
	body.Limits.MaxStreams = h.limits.StreamsPerCaller
	return contract.GetMe200JSONResponse{
		Body:    body,
		Headers: contract.GetMe200ResponseHeaders{XRequestID: e.requestID},
	}, nil
}

// dataAge is the value of the X-Data-Age header: nil while Kubernetes is connected.
func (h *handlers) dataAge() *int {
	age := h.health.Age()
	if age < time.Second {
		return nil
	}
	return new(wholeSeconds(age))
}

func callerOf(ctx context.Context) auth.Identity { return exchangeOf(ctx).caller }
