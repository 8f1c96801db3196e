// Package auth identifies callers of the REST API, and asks Kubernetes what service accounts may do.
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
	// User is the user whose jobs the caller sees and acts on.
	User string
	// UserID is the spec.userID of what the caller makes; empty if the user is the namespace itself.
	UserID string
	// KeyName and KeyID name an API key, for users and for the log. They are not secret. Empty for a service account.
	KeyName, KeyID string
	// Access is which calls an API key permits. Empty for a service account, whose rights Kubernetes knows.
	Access v1alpha1.APIKeyAccess
	// Account is the service account whose Kubernetes token was presented; nil for the owner of an API key.
	Account *Account
	// ExpiresAt is when the credential stops being accepted; zero for never, or unknown.
	ExpiresAt time.Time
}

// Account is a service account as Kubernetes knows it.
type Account struct {
	// Name is the service account's own, in the namespace of the Identity.
	Name string
	// Username, UID, Groups and Extra are the attributes for Kubernetes' authorizers.
	Username, UID string
	Groups        []string
	Extra         map[string][]string
	// Token is the fingerprint of the token that was presented.
	Token string
}

// Principal identifies the caller whose rate is limited: an API key by its namespace and id, since a namespace can make keys
// with another's ids, or a service account by its user name, with all its tokens. Empty if the caller is unknown.
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

// String describes the caller for users.
func (i Identity) String() string {
	if i.Account != nil {
		return i.User + " (service account " + i.Account.Name + ")"
	}
	return i.User + " (API key " + i.KeyID + ")"
}

// ErrUnauthenticated means that a credential is not accepted. Callers get no reason.
var ErrUnauthenticated = errors.New("the credential is not accepted")

// ErrUnknownKey means that there is no such API key among those that were read. It wraps ErrUnauthenticated.
var ErrUnknownKey = fmt.Errorf("%w: there is no such key", ErrUnauthenticated)

// Authenticator finds the owner of a Bearer token.
type Authenticator interface {
	// Authenticate returns the token's owner; an error that is or wraps ErrUnauthenticated if the token is not accepted; or
	// another error if that could not be decided. The context may be used after the call has returned.
	Authenticate(ctx context.Context, token string) (Identity, error)
}

// Access is what a call needs: the access of an API key, or the right of a service account to any of the verbs on a resource of
// the API group, in the caller's namespace.
type Access struct {
	Key      v1alpha1.APIKeyAccess
	Verbs    []string
	Resource string
}

// Authorizer decides what service accounts may do. API keys themselves say what their owners may do.
type Authorizer interface {
	// Authorize reports whether the account may make a call, or returns an error if that could not be decided. The context may be
	// used after the call has returned.
	Authorize(ctx context.Context, namespace string, account *Account, access Access) (bool, error)
}

// ByForm authenticates API keys and Kubernetes tokens, which it distinguishes by their form.
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

// tokenFingerprint identifies a token without revealing it: its SHA-256 in hex.
func tokenFingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Form is the form of a credential.
type Form int

const (
	// FormOther is a text that cannot be a credential.
	FormOther Form = iota
	// FormKey is an API key, checksum included.
	FormKey
	// FormToken is a signed JSON Web Token, as Kubernetes issues them.
	FormToken
)

// Credential is what a token claims to be, before it is checked.
type Credential struct {
	Form Form
	// Name is the fingerprint of a token; otherwise empty.
	Name string
}

// CredentialOf returns what a token claims to be.
func CredentialOf(token string) Credential {
	if _, err := ParseKey(token); err == nil {
		return Credential{Form: FormKey}
	}
	if isJWT(token) {
		return Credential{Form: FormToken, Name: tokenFingerprint(token)}
	}
	return Credential{}
}
