// Package auth tells who is calling the facade.
package auth

import (
	"context"
	"errors"
	"time"
)

// Identity is who a caller is.
type Identity struct {
	// Namespace is the tenant: nothing outside of it exists for the caller.
	Namespace string
	// User is whose jobs the caller sees and acts on.
	User string
	// UserID is what goes into the spec.userID of what the caller makes; empty when the user is the namespace itself.
	UserID string
	// KeyName and KeyID name the credential, for people and for the log. They are no secret.
	KeyName, KeyID string
	// ExpiresAt is when the credential stops being accepted; zero for never.
	ExpiresAt time.Time
}

// ErrUnauthenticated says that a credential is not accepted. Callers are never told more.
var ErrUnauthenticated = errors.New("the credential is not accepted")

// Authenticator tells whom a Bearer token belongs to.
type Authenticator interface {
	// Authenticate returns the token's owner, ErrUnauthenticated when the token is not accepted, or another error when that
	// could not be found out.
	Authenticate(ctx context.Context, token string) (Identity, error)
}
