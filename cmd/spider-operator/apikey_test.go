package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
)

var now = time.Date(2025, 1, 15, 10, 30, 0, 0, time.UTC)

func newFakeClient(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).Build()
}

func TestCreatedKeyOpensItsNamespaceAndIsShownAlone(t *testing.T) {
	kubernetes := newFakeClient(t)
	request := apiKeyRequest{namespace: "demo", user: "alice", access: "Run", expires: "720h", description: "for CI"}
	key, object, err := createAPIKey(t.Context(), kubernetes, request, now)
	if err != nil {
		t.Fatal(err)
	}
	var out, notes bytes.Buffer
	if err := request.print(&out, &notes, key, object); err != nil {
		t.Fatal(err)
	}
	shown := strings.TrimSuffix(out.String(), "\n")
	if shown != key.Reveal() {
		t.Errorf("standard output is %q, want the key alone", out.String())
	}
	if strings.Contains(notes.String(), shown) || !strings.Contains(notes.String(), "once") ||
		!strings.Contains(notes.String(), "2025-02-14T10:30:00Z") ||
		!strings.Contains(notes.String(), "access Run") {
		t.Errorf("the notes are %q", notes.String())
	}

	stored := &v1alpha1.APIKey{}
	if err := kubernetes.Get(t.Context(), client.ObjectKeyFromObject(object), stored); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), shown[20:84]) {
		t.Error("the resource holds the secret")
	}
	compact, err := auth.FromAPIKey(stored)
	if err != nil {
		t.Fatal(err)
	}
	keys := auth.NewKeys(func() time.Time { return now })
	keys.Set("", compact)
	identity, err := keys.Authenticate(t.Context(), shown)
	if err != nil || identity.Namespace != "demo" || identity.User != "alice" || identity.Access != v1alpha1.AccessRun {
		t.Errorf("the key is of %+v (%v)", identity, err)
	}
}

func TestKeyAsJSON(t *testing.T) {
	request := apiKeyRequest{namespace: "demo", name: "ci", output: "json"}
	key, object, err := createAPIKey(t.Context(), newFakeClient(t), request, now)
	if err != nil {
		t.Fatal(err)
	}
	var out, notes bytes.Buffer
	if err := request.print(&out, &notes, key, object); err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["key"] != key.Reveal() || got["namespace"] != "demo" || got["name"] != "ci" || got["user_id"] != "demo" ||
		got["access"] != "All" ||
		len(got) != 5 {
		t.Errorf("JSON %s", out.String())
	}
}

func TestNoKeyIsMadeOfABadRequest(t *testing.T) {
	for _, request := range []apiKeyRequest{
		{namespace: "demo", expires: "tomorrow"}, {namespace: "demo", expires: "-1h"}, {namespace: "demo", expires: "0s"},
		{namespace: "demo", expires: "2025-01-15T10:30:00Z"}, {namespace: "demo", output: "yaml"},
		{namespace: "demo", access: "read"}, {namespace: "demo", access: "Everything"},
	} {
		kubernetes := newFakeClient(t)
		_, _, err := createAPIKey(t.Context(), kubernetes, request, now)
		var keys v1alpha1.APIKeyList
		if listErr := kubernetes.List(t.Context(), &keys); listErr != nil {
			t.Fatal(listErr)
		}
		if err == nil || len(keys.Items) != 0 {
			t.Errorf("%+v: error %v and %d keys", request, err, len(keys.Items))
		}
	}
}

// Callers without a user are shown as their namespace: nobody else shall be.
func TestNoUserIsNamedLikeItsNamespace(t *testing.T) {
	if err := (apiKeyRequest{namespace: "demo", user: "demo"}).checkUser(); err == nil ||
		!strings.Contains(err.Error(), "leave --user out") {
		t.Errorf("error %v, want one that says what to do", err)
	}
	for _, user := range []string{"", "alice", "Demo"} {
		if err := (apiKeyRequest{namespace: "demo", user: user}).checkUser(); err != nil {
			t.Errorf("user %q: %v", user, err)
		}
	}
}

func TestListShowsWhoHasWhichKeyAndUntilWhen(t *testing.T) {
	var out bytes.Buffer
	err := printAPIKeys(&out, []v1alpha1.APIKey{
		{ObjectMeta: metav1.ObjectMeta{Name: "old", Namespace: "demo", CreationTimestamp: metav1.NewTime(now.Add(-48 * time.Hour))},
			Spec: v1alpha1.APIKeySpec{KeyID: "b", UserID: "alice", Access: v1alpha1.AccessRead, ExpiresAt: new(metav1.NewTime(now))}},
		{ObjectMeta: metav1.ObjectMeta{Name: "new", Namespace: "demo", CreationTimestamp: metav1.NewTime(now)},
			Spec: v1alpha1.APIKeySpec{KeyID: "a", Description: "for CI"}},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(out.String()) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"NAME KEY USER ACCESS EXPIRES AGE DESCRIPTION", "new a demo All never 0s for CI",
		"old b alice Read 2025-01-15T10:30:00Z (expired) 2d",
	}
	if strings.Join(rows, "\n") != strings.Join(want, "\n") {
		t.Errorf("list\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	for _, arguments := range [][]string{{}, {"apiserver"}, {"controller"}, {"apikey"}, {"apikey", "create"}, {"apikey", "rotate"}, {"version"}} {
		root := newRootCommand()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs(append(arguments, "--help"))
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), "Usage:") {
			t.Errorf("%q --help: %v\n%s", arguments, err, out.String())
		}
	}
}
