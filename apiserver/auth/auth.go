// Package auth tells who is calling the facade, and what Kubernetes lets a service account do.
package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Identity is who a caller is: the owner of an API key, or a service account.
type Identity struct {
	// Namespace is the tenant: nothing outside of it exists for the caller.
	Namespace string
	// User is whose jobs the caller sees and acts on.
	User string
	// UserID is what goes into the spec.userID of what the caller makes; empty when the user is the namespace itself.
	UserID string
	// KeyName and KeyID name an API key, for people and for the log. They are no secret. Empty for a service account.
	KeyName, KeyID string
	// Access is what an API key opens. Empty for a service account, of which Kubernetes knows what it may do.
	Access v1alpha1.APIKeyAccess
	// Account is the service account whose Kubernetes token was presented; nil for the owner of an API key.
	Account *Account
	// ExpiresAt is when the credential stops being accepted; zero for never, or for not known.
	ExpiresAt time.Time
}

// Account is a service account as Kubernetes knows it.
type Account struct {
	// Name is the service account's own, in the namespace of the Identity.
	Name string
	// Username, UID, Groups and Extra are what Kubernetes' authorizers are asked with.
	Username, UID string
	Groups        []string
	Extra         map[string][]string
	// Token is the Fingerprint of the token that was presented.
	Token string
}

// Principal names who is held to a rate: the API key by its namespace and id, since a namespace can make keys of another's ids, or
// the service account by its user name, whichever of its tokens it shows. Empty when the caller is not known.
func (i Identity) Principal() string {
	switch {
	case i.Account != nil:
		return i.Account.Username
	case i.KeyID != "":
		return i.Namespace + "/" + i.KeyID
	default:
		return ""
	}
}

// String says for people who the caller is.
func (i Identity) String() string {
	if i.Account != nil {
		return i.User + " (service account " + i.Account.Name + ")"
	}
	return i.User + " (API key " + i.KeyID + ")"
}

// ErrUnauthenticated says that a credential is not accepted. Callers are never told more.
var ErrUnauthenticated = errors.New("the credential is not accepted")

// ErrUnknownKey says that there is no such API key among those that were read. It is an ErrUnauthenticated.
var ErrUnknownKey = fmt.Errorf("%w: there is no such key", ErrUnauthenticated)

// Authenticator tells whom a Bearer token belongs to.
type Authenticator interface {
	// Authenticate returns the token's owner; an error that is or wraps ErrUnauthenticated when the token is not accepted; or
	// another error when that could not be found out. The context may be used after the call has returned.
	Authenticate(ctx context.Context, token string) (Identity, error)
}

// Access is what a call needs: of an API key its access, of a service account the right to do any of the verbs on a resource of the
// API group, in the caller's namespace.
type Access struct {
	Key      v1alpha1.APIKeyAccess
	Verbs    []string
	Resource string
}

// Authorizer tells whether service accounts may do what they ask for. What the owners of API keys may do their keys say.
type Authorizer interface {
	// Authorize reports whether the account may, or returns an error when that could not be found out. The context may be used
	// after the call has returned.
	Authorize(ctx context.Context, namespace string, account *Account, access Access) (bool, error)
}

// ByForm authenticates API keys and Kubernetes tokens, which it tells apart by their form.
type ByForm struct {
	Keys, Tokens Authenticator
}

// Authenticate implements Authenticator.
func (b ByForm) Authenticate(ctx context.Context, token string) (Identity, error) {
	if strings.HasPrefix(token, keyPrefix) {
		return b.Keys.Authenticate(ctx, token)
	}
	return b.Tokens.Authenticate(ctx, token)
}

// Fingerprint names a token without telling it: its SHA-256 in hex.
func Fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Form is what a credential looks like.
type Form int

const (
	// FormOther is what cannot be a credential.
	FormOther Form = iota
	// FormKey is an API key, checksum included.
	FormKey
	// FormToken is a signed JSON Web Token, as Kubernetes issues them.
	FormToken
)

// Credential is what a token claims to be, before it is known whether it is that.
type Credential struct {
	Form Form
	// Name is the Fingerprint of a token; else empty.
	Name string
}

// CredentialOf tells what a token claims to be.
func CredentialOf(token string) Credential {
	if _, err := ParseKey(token); err == nil {
		return Credential{Form: FormKey}
	}
	if isJWT(token) {
		return Credential{Form: FormToken, Name: Fingerprint(token)}
	}
	return Credential{}
}
