package v1alpha1

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func job(namespace, name, spider string) *SpiderJob {
	return &SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       SpiderJobSpec{SpiderRef: SpiderReference{Name: spider}},
	}
}

func spider(namespace, name string) *Spider {
	return &Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// These ids are in clients' databases. They must never change.
func TestIDsAreForEver(t *testing.T) {
	const canonical = "019a0000-0000-7000-8000-000000000000"
	for _, test := range []struct{ what, id, want string }{
		{"a SpiderJob named by a UUID", job("demo", canonical, "books").ID(), canonical},
		{"a SpiderJob named by a person", job("demo", "monday", "books").ID(), "a5e2bb8e-ad1f-5f6f-938d-bb8f98b6ef79"},
		{"a Spider", spider("demo", "books").ID(), "f4708660-e40f-5fee-a94a-e8939dc6ca4e"},
		{"a Spider named by a UUID", spider("demo", canonical).ID(), canonical},
		{"the Spider of a SpiderJob", job("demo", "monday", "books").SpiderID(), "f4708660-e40f-5fee-a94a-e8939dc6ca4e"},
		{"the Spider of a SpiderJob, named by a UUID", job("demo", "monday", canonical).SpiderID(), canonical},
	} {
		if test.id != test.want {
			t.Errorf("%s has the id %s, want %s", test.what, test.id, test.want)
		}
	}
}

// An object's id is always one, and it is another's only if that has the same kind, namespace and name, or the same UUID for
// a name.
func TestIDsAreDistinct(t *testing.T) {
	label := rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		namespaceA, nameA := label.Draw(t, "namespace"), label.Draw(t, "name")
		namespaceB, nameB := label.Draw(t, "other namespace"), label.Draw(t, "other name")
		a, b := job(namespaceA, nameA, nameB), job(namespaceB, nameB, nameA)
		same := namespaceA == namespaceB && nameA == nameB

		if !IsID(a.ID()) || !IsID(a.SpiderID()) {
			t.Fatalf("%q and %q are not both ids", a.ID(), a.SpiderID())
		}
		if (a.ID() == b.ID()) != same {
			t.Fatalf("jobs %s/%s and %s/%s have ids %s and %s", namespaceA, nameA, namespaceB, nameB, a.ID(), b.ID())
		}
		if a.ID() == spider(namespaceA, nameA).ID() {
			t.Fatalf("the job and the spider %s/%s have one id", namespaceA, nameA)
		}
	})
}

func TestIsID(t *testing.T) {
	const id = "019a0000-0000-7000-8000-00000000000a"
	for text, want := range map[string]bool{
		id:                                     true,
		uuid.Nil.String():                      true,
		strings.ToUpper(id):                    false,
		strings.ReplaceAll(id, "-", ""):        false,
		"{" + id + "}":                         false,
		"urn:uuid:" + id:                       false,
		id + " ":                               false,
		id[1:]:                                 false,
		"019a0000-0000-7000-8000-00000000000g": false,
		"019a00000-000-7000-8000-00000000000a": false,
		"":                                     false,
	} {
		if IsID(text) != want {
			t.Errorf("IsID(%q) is %t, want %t", text, !want, want)
		}
	}
}

func TestUsers(t *testing.T) {
	owned := job("demo", "monday", "books")
	owned.Spec.UserID = "ann"
	key := &APIKey{ObjectMeta: metav1.ObjectMeta{Namespace: "demo"}}
	ownedKey := key.DeepCopy()
	ownedKey.Spec.UserID = "ann"
	for _, test := range []struct{ what, user, want string }{
		{"a job with a userID", owned.User(), "ann"},
		{"a job without one", job("demo", "monday", "books").User(), "demo"},
		{"a key with a userID", ownedKey.User(), "ann"},
		{"a key without one", key.User(), "demo"},
	} {
		if test.user != test.want {
			t.Errorf("the user of %s is %q, want %q", test.what, test.user, test.want)
		}
	}
}

func TestSpiderVisibility(t *testing.T) {
	shared, private := spider("demo", "books"), spider("demo", "films")
	private.Spec.UserID = "ann"
	for _, test := range []struct {
		what   string
		spider *Spider
		user   string
		want   bool
	}{
		{"a shared spider to a user", shared, "ann", true},
		{"a shared spider to the namespace", shared, "demo", true},
		{"a private spider to its user", private, "ann", true},
		{"a private spider to another user", private, "bob", false},
		{"a private spider to the namespace", private, "demo", false},
	} {
		if test.spider.VisibleTo(test.user) != test.want {
			t.Errorf("%s: visible is %t, want %t", test.what, !test.want, test.want)
		}
	}
}

func TestSpiderName(t *testing.T) {
	unnamed, named := spider("demo", "books"), spider("demo", "books")
	named.Spec.Name = "Books_v2"
	if got := unnamed.SpiderName(); got != "books" {
		t.Errorf("a Spider without a name is known as %q, want its object's name", got)
	}
	if got := named.SpiderName(); got != "Books_v2" {
		t.Errorf("a Spider with a name is known as %q, want Books_v2", got)
	}
}

// What a key opens grows from Read to All, and an access that this version does not know opens nothing.
func TestAccessOpensWhatThoseBeforeItOpen(t *testing.T) {
	order := []APIKeyAccess{AccessRead, AccessRun, AccessAll}
	for i, access := range order {
		for j, needed := range order {
			if access.Opens(needed) != (j <= i) {
				t.Errorf("%s opens what needs %s: %t", access, needed, access.Opens(needed))
			}
		}
	}
	for _, unknown := range []APIKeyAccess{"", "read", "Everything"} {
		for _, needed := range order {
			if unknown.Opens(needed) {
				t.Errorf("%q opens what needs %s", unknown, needed)
			}
		}
	}
	if key := (&APIKey{}); key.Access() != AccessAll {
		t.Errorf("a key that says nothing has the access %q", key.Access())
	}
	if key := (&APIKey{Spec: APIKeySpec{Access: AccessRead}}); key.Access() != AccessRead {
		t.Errorf("a key of the access Read has %q", key.Access())
	}
}
