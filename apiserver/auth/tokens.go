package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Reviewer asks Kubernetes about tokens and rights. An error means that there was no answer.
type Reviewer interface {
	// ReviewToken asks for the owner of a token that was issued for the audience.
	ReviewToken(ctx context.Context, token, audience string) (TokenReview, error)
	// ReviewAccess asks whether the account may do this to all resources of the kind in the namespace.
	ReviewAccess(ctx context.Context, account *Account, namespace, verb, resource string) (bool, error)
}

// TokenReview is Kubernetes' answer about a token.
type TokenReview struct {
	// Accepted says that the token is valid for at least one of the named audiences.
	Accepted  bool
	Audiences []string
	// Username, UID, Groups and Extra are its owner.
	Username, UID string
	Groups        []string
	Extra         map[string][]string
	// Reason may say why it is not accepted. It is for the log.
	Reason string
}

// Tokens authenticates service accounts by their Kubernetes tokens, and asks Kubernetes what they may do. It refuses tokens of
// other audiences, and callers that are not service accounts. It is safe for concurrent use.
type Tokens struct {
	reviewer   Reviewer
	audience   string
	namespaces []string
	now        func() time.Time
	owners     *reviews[verdict]
	rights     *reviews[bool]
}

// verdict is what is cached of a token: its owner, or why it is refused.
type verdict struct {
	identity Identity
	refusal  error
}

var (
	_ Authenticator = (*Tokens)(nil)
	_ Authorizer    = (*Tokens)(nil)
)

// NewTokens returns an authenticator of tokens that were issued for the audience, of service accounts in the namespaces, or in
// any if the list is empty. now is the clock by which answers expire.
func NewTokens(reviewer Reviewer, audience string, namespaces []string, now func() time.Time) *Tokens {
	return &Tokens{
		reviewer:   reviewer,
		audience:   audience,
		namespaces: namespaces,
		now:        now,
		owners:     newReviews[verdict](now),
		rights:     newReviews[bool](now),
	}
}

// Authenticate implements Authenticator.
func (t *Tokens) Authenticate(ctx context.Context, token string) (Identity, error) {
	if !isJWT(token) {
		return Identity{}, ErrUnauthenticated
	}
	fingerprint := tokenFingerprint(token)
	found, err := t.owners.answer(ctx, fingerprint, func(ctx context.Context) (verdict, error) {
		review, err := t.reviewer.ReviewToken(ctx, token, t.audience)
		if err != nil {
			return verdict{}, err
		}
		return t.judge(review, fingerprint, expiryOf(token)), nil
	})
	if err != nil {
		return Identity{}, err
	}
	// A cached answer does not outlive its token.
	if expires := found.identity.ExpiresAt; found.refusal == nil && !expires.IsZero() && !t.now().Before(expires) {
		return Identity{}, fmt.Errorf("%w: it has expired", ErrUnauthenticated)
	}
	return found.identity, found.refusal
}

// judge decides whether to accept the owner that Kubernetes named.
func (t *Tokens) judge(review TokenReview, fingerprint string, expires time.Time) verdict {
	refuse := func(format string, args ...any) verdict {
		return verdict{refusal: fmt.Errorf("%w: %s", ErrUnauthenticated, fmt.Sprintf(format, args...))}
	}
	if !review.Accepted {
		return refuse("Kubernetes does not accept it: %s", review.Reason)
	}
	// A kube-apiserver without audiences answers for its own.
	if !slices.Contains(review.Audiences, t.audience) {
		return refuse("it was not issued for the audience %s", t.audience)
	}
	namespace, name, ok := splitServiceAccount(review.Username)
	if !ok {
		return refuse("%s is not a service account", review.Username)
	}
	if len(t.namespaces) > 0 && !slices.Contains(t.namespaces, namespace) {
		return refuse("the namespace %s is not served", namespace)
	}
	return verdict{identity: Identity{
		Namespace: namespace,
		User:      namespace,
		Account: &Account{
			Name:     name,
			Username: review.Username,
			UID:      review.UID,
			Groups:   review.Groups,
			Extra:    review.Extra,
			Token:    fingerprint,
		},
		ExpiresAt: expires,
	}}
}

// Authorize implements Authorizer.
func (t *Tokens) Authorize(ctx context.Context, namespace string, account *Account, access Access) (bool, error) {
	for _, verb := range access.Verbs {
		question := strings.Join([]string{account.Token, namespace, verb, access.Resource}, " ")
		allowed, err := t.rights.answer(ctx, question, func(ctx context.Context) (bool, error) {
			return t.reviewer.ReviewAccess(ctx, account, namespace, verb, access.Resource)
		})
		if allowed || err != nil {
			return allowed, err
		}
	}
	return false, nil
}

// splitServiceAccount parses the user name of a service account.
func splitServiceAccount(username string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(username, "system:serviceaccount:")
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	return namespace, name, ok && namespace != "" && name != "" && !strings.Contains(name, ":")
}

// maxToken bounds the length of a token, in bytes. Kubernetes' own have about 1,000.
const maxToken = 8 << 10

// isJWT reports whether a token has the form of a signed JSON Web Token, as Kubernetes issues them: three parts in base64url
// separated by dots. It does not look into the parts.
func isJWT(token string) bool {
	if len(token) > maxToken {
		return false
	}
	parts := 0
	for part := range strings.SplitSeq(token, ".") {
		if parts++; parts > 3 || part == "" || !all(part, isBase64URL) {
			return false
		}
	}
	return parts == 3
}

func isBase64URL(b byte) bool {
	return isLowerAlphanumeric(b) || b >= 'A' && b <= 'Z' || b == '-' || b == '_'
}

// expiryOf returns when a JSON Web Token says that it expires; zero if it does not say so in the usual way. Trust it only once
// Kubernetes has accepted the token.
func expiryOf(token string) time.Time {
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[len(parts)/2])
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Expires int64 `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(claims.Expires, 0)
}
