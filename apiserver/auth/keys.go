package auth

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// APIKey is what authentication needs to know of an APIKey resource.
type APIKey struct {
	namespace, name string
	keyID, hash     string
	user, userID    string
	access          v1alpha1.APIKeyAccess
	expiresAt       time.Time
	// revoked says that the resource is being deleted, although a finalizer holds it.
	revoked bool
}

// FromAPIKey returns the compact form of an APIKey resource.
func FromAPIKey(key *v1alpha1.APIKey) (*APIKey, error) {
	k := &APIKey{
		namespace: key.Namespace,
		name:      key.Name,
		keyID:     key.Spec.KeyID,
		hash:      key.Spec.Hash,
		user:      key.User(),
		userID:    key.Spec.UserID,
		access:    key.Access(),
		revoked:   key.DeletionTimestamp != nil,
	}
	if key.Spec.ExpiresAt != nil {
		k.expiresAt = key.Spec.ExpiresAt.Time
	}
	return k, nil
}

// Keys authenticates API keys against the APIKey resources that a watch shows, so a key is valid exactly as long as its
// resource exists. It is safe for concurrent use.
type Keys struct {
	now func() time.Time

	mu sync.RWMutex
	// byID finds resources by key id. There are several if one was copied; at most the original has the right hash.
	byID   map[string][]*APIKey
	byName map[resource]*APIKey
}

type resource struct{ namespace, name string }

var _ Authenticator = (*Keys)(nil)

// NewKeys returns an authenticator that knows no key yet. now is the clock that keys expire by.
func NewKeys(now func() time.Time) *Keys {
	return &Keys{now: now, byID: map[string][]*APIKey{}, byName: map[resource]*APIKey{}}
}

// nobody is compared if a key id is unknown, so that this takes as long as a wrong secret.
var nobody = []*APIKey{{revoked: true}}

// Authenticate implements Authenticator.
func (k *Keys) Authenticate(_ context.Context, token string) (Identity, error) {
	key, err := ParseKey(token)
	if err != nil {
		return Identity{}, ErrUnauthenticated
	}
	candidates, known := k.candidates(key.ID)
	for _, candidate := range candidates {
		if key.Matches(candidate.namespace, candidate.hash) && candidate.valid(k.now()) {
			return candidate.identity(), nil
		}
	}
	if !known {
		return Identity{}, ErrUnknownKey
	}
	return Identity{}, ErrUnauthenticated
}

func (k *Keys) candidates(keyID string) (all []*APIKey, known bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if all := k.byID[keyID]; len(all) > 0 {
		return all, true
	}
	return nobody, false
}

func (k *APIKey) valid(now time.Time) bool {
	return !k.revoked && (k.expiresAt.IsZero() || now.Before(k.expiresAt))
}

func (k *APIKey) identity() Identity {
	return Identity{
		Namespace: k.namespace,
		User:      k.user,
		UserID:    k.userID,
		Access:    k.access,
		KeyName:   k.name,
		KeyID:     k.keyID,
		ExpiresAt: k.expiresAt,
	}
}

// Set takes a state from a watch.
func (k *Keys) Set(_ string, key *APIKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set(key)
}

// Delete takes the deletion of a key from a watch.
func (k *Keys) Delete(_ string, key *APIKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(resource{key.namespace, key.name})
}

// Bookmark does nothing: the progress of the watch of keys is not needed.
func (*Keys) Bookmark(string, string) {}

// Relist takes all keys of a scope: a namespace, or all if it is empty. They replace the known ones in one step, when the list
// is complete.
func (k *Keys) Relist(scope, _ string) (page func([]*APIKey), done func()) {
	var all []*APIKey
	return func(keys []*APIKey) { all = append(all, keys...) }, func() { k.replace(scope, all) }
}

func (k *Keys) replace(scope string, keys []*APIKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.byName {
		if scope == "" || scope == name.namespace {
			k.remove(name)
		}
	}
	for _, key := range keys {
		k.set(key)
	}
}

func (k *Keys) set(key *APIKey) {
	name := resource{key.namespace, key.name}
	k.remove(name)
	k.byName[name] = key
	// Readers use the slices without the lock: they are replaced, never changed.
	k.byID[key.keyID] = append(slices.Clone(k.byID[key.keyID]), key)
}

func (k *Keys) remove(name resource) {
	old := k.byName[name]
	if old == nil {
		return
	}
	delete(k.byName, name)
	others := slices.DeleteFunc(slices.Clone(k.byID[old.keyID]), func(key *APIKey) bool { return key == old })
	if len(others) == 0 {
		delete(k.byID, old.keyID)
		return
	}
	k.byID[old.keyID] = others
}
