package auth

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

var now = time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)

// resourceFor makes the APIKey resource of a key.
func resourceFor(t *testing.T, key Key, namespace, name string, change ...func(*v1alpha1.APIKey)) *APIKey {
	t.Helper()
	object := &v1alpha1.APIKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.APIKeySpec{KeyID: key.ID, Hash: key.Hash(namespace), UserID: "alice"},
	}
	for _, c := range change {
		c(object)
	}
	compact, err := FromAPIKey(object)
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func TestAuthenticate(t *testing.T) {
	key, stranger := NewKey(), NewKey()
	expires := func(d time.Duration) func(*v1alpha1.APIKey) {
		return func(k *v1alpha1.APIKey) { k.Spec.ExpiresAt = new(metav1.NewTime(now.Add(d))) }
	}
	for name, test := range map[string]struct {
		resources []*APIKey
		token     string
		want      string // The key's name, empty for none.
	}{
		"known":                {[]*APIKey{resourceFor(t, key, "team", "k")}, key.Reveal(), "k"},
		"unknown":              {[]*APIKey{resourceFor(t, key, "team", "k")}, stranger.Reveal(), ""},
		"none known":           {nil, key.Reveal(), ""},
		"malformed":            {[]*APIKey{resourceFor(t, key, "team", "k")}, key.Reveal() + "0", ""},
		"right id, not secret": {[]*APIKey{resourceFor(t, key, "team", "k")}, Key{ID: key.ID, secret: stranger.secret}.Reveal(), ""},
		"not expired yet":      {[]*APIKey{resourceFor(t, key, "team", "k", expires(time.Second))}, key.Reveal(), "k"},
		"expires now":          {[]*APIKey{resourceFor(t, key, "team", "k", expires(0))}, key.Reveal(), ""},
		"expired":              {[]*APIKey{resourceFor(t, key, "team", "k", expires(-time.Second))}, key.Reveal(), ""},
		"being deleted": {[]*APIKey{resourceFor(t, key, "team", "k", func(k *v1alpha1.APIKey) {
			k.DeletionTimestamp = new(metav1.NewTime(now))
		})}, key.Reveal(), ""},
		"copied to another namespace": {[]*APIKey{resourceFor(t, key, "evil", "k", func(k *v1alpha1.APIKey) {
			k.Spec.Hash = key.Hash("team")
		})}, key.Reveal(), ""},
		"beside a copy in another namespace": {[]*APIKey{
			resourceFor(t, key, "evil", "copy", func(k *v1alpha1.APIKey) { k.Spec.Hash = key.Hash("team") }),
			resourceFor(t, key, "team", "k"),
		}, key.Reveal(), "k"},
		"beside an expired one of the same id": {[]*APIKey{
			resourceFor(t, key, "team", "old", expires(-1)), resourceFor(t, key, "team", "new"),
		}, key.Reveal(), "new"},
	} {
		t.Run(name, func(t *testing.T) {
			keys := NewKeys(func() time.Time { return now })
			relist(keys, "", test.resources)
			identity, err := keys.Authenticate(t.Context(), test.token)
			if identity.KeyName != test.want || (err == nil) != (test.want != "") || err != nil && !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("identity %+v, error %v; want key %q", identity, err, test.want)
			}
		})
	}
}

func TestIdentityIsTheKeysUserAndNamespace(t *testing.T) {
	key := NewKey()
	keys := NewKeys(func() time.Time { return now })
	keys.Set("", resourceFor(t, key, "team", "k", func(k *v1alpha1.APIKey) { k.Spec.ExpiresAt = new(metav1.NewTime(now.Add(1))) }))
	got, err := keys.Authenticate(t.Context(), key.Reveal())
	want := Identity{
		Namespace: "team",
		User:      "alice",
		UserID:    "alice",
		KeyName:   "k",
		Access:    v1alpha1.AccessAll,
		KeyID:     key.ID,
		ExpiresAt: now.Add(1),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v; identity (-want +got):\n%s", err, diff)
	}
	keys.Set("", resourceFor(t, key, "team", "k", func(k *v1alpha1.APIKey) { k.Spec.UserID = "" }))
	if got, _ := keys.Authenticate(t.Context(), key.Reveal()); got.User != "team" || got.UserID != "" {
		t.Errorf("a key that names no user is user %q with user id %q, want team and none", got.User, got.UserID)
	}
}

func TestKeysFollowTheirResources(t *testing.T) {
	key, other := NewKey(), NewKey()
	mine, others := resourceFor(t, key, "team", "k"), resourceFor(t, other, "elsewhere", "k")
	for name, test := range map[string]struct {
		event func(*Keys)
		want  bool
	}{
		"deleted":                           {func(k *Keys) { k.Delete("", mine) }, false},
		"another of the name deleted":       {func(k *Keys) { k.Delete("", others) }, true},
		"relisted":                          {func(k *Keys) { relist(k, "", []*APIKey{others, mine}) }, true},
		"missing when relisted":             {func(k *Keys) { relist(k, "", []*APIKey{others}) }, false},
		"another namespace relisted":        {func(k *Keys) { relist(k, "elsewhere", nil) }, true},
		"its namespace relisted without it": {func(k *Keys) { relist(k, "team", nil) }, false},
		"set again":                         {func(k *Keys) { k.Set("", mine) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			keys := NewKeys(func() time.Time { return now })
			relist(keys, "", []*APIKey{mine, others})
			test.event(keys)
			if _, err := keys.Authenticate(t.Context(), key.Reveal()); (err == nil) != test.want {
				t.Errorf("accepted: %t, want %t", err == nil, test.want)
			}
		})
	}
}

func relist(keys *Keys, scope string, all []*APIKey) {
	page, done := keys.Relist(scope, "2")
	for _, key := range all {
		page([]*APIKey{key})
	}
	done()
}
