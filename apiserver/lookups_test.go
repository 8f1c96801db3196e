package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// spiderOfAnotherReplica makes a spider that the watch has not shown yet.
func (f *testAPI) spiderOfAnotherReplica(namespace, name, userID string) {
	f.t.Helper()
	f.spiders.mu.Lock()
	f.spiders.held = true
	f.spiders.mu.Unlock()
	f.spider(namespace, uuid.Must(uuid.NewV7()).String(), func(s *v1alpha1.Spider) { s.Spec.Name, s.Spec.UserID = name, userID })
}

func TestASpiderOfAnotherReplicaIsStartedByName(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	f.spiderOfAnotherReplica("team", "books", "alice")
	f.spiderOfAnotherReplica("team", "shared, with=all\\", "")
	f.spiderOfAnotherReplica("team", "bobs", "bob")
	f.spiderOfAnotherReplica("other", "elsewhere", "alice")
	f.start(alice, `{"spider_name": "books"}`).want(http.StatusOK)
	f.start(alice, `{"spider_name": "books"}`).want(http.StatusOK) // The view knows it from now on.
	f.start(alice, `{"spider_name": "shared, with=all\\"}`).want(http.StatusOK)
	if n := f.spiders.count("named"); n != 2 {
		t.Errorf("spiders were looked up %d times, want 2", n)
	}
	for _, name := range []string{"bobs", "elsewhere", "none"} {
		f.start(alice, `{"spider_name": "`+name+`"}`).wantProblem(http.StatusNotFound, "not_found")
	}
	before := f.spiders.count("named")
	for _, name := range []string{strings.Repeat("a", 129), "-a", "a\tb", strings.Repeat("a", 100_000)} {
		f.start(alice, fmt.Sprintf(`{"spider_name": %q}`, name)).wantProblem(http.StatusNotFound, "not_found")
	}
	if n := f.spiders.count("named") - before; n > 0 {
		t.Errorf("names that no spider has were looked up %d times", n)
	}
}

// Callers can make up names without end. What they ask for again and again is looked up once in a while.
func TestUnknownNamesAndIDsAreNotHammered(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id := uuid.NewString()
	for range 100 {
		f.start(key, `{"spider_name": "none"}`).want(http.StatusNotFound)
		f.get(key, "/api/v1/spiders/"+id).want(http.StatusNotFound)
		f.get(key, "/api/v1/jobs/"+id).want(http.StatusNotFound)
	}
	if names, spiders, jobs := f.spiders.count(
		"named",
	), f.spiders.count(
		"get",
	), f.cluster.count(
		"get",
	); max(
		names, spiders, jobs,
	) > 20 {
		t.Errorf("%d names, %d spiders and %d jobs were looked up, for 100 calls each", names, spiders, jobs)
	}
}

// What cannot be looked up is not said to be absent.
func TestALookupThatFailsIsSaidToFail(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	refused := func(string, bool) error { return errors.New("connection refused") }
	f.spiders.fail, f.cluster.fail = refused, refused
	for _, a := range []answer{
		f.start(key, `{"spider_name": "none"}`), f.get(key, "/api/v1/spiders/"+uuid.NewString()), f.get(key, "/api/v1/jobs/"+uuid.NewString()),
	} {
		a.wantProblem(http.StatusServiceUnavailable, "unavailable", "Kubernetes")
	}
	f.spiders.fail, f.cluster.fail = nil, nil
	f.start(key, `{"spider_name": "none"}`).wantProblem(http.StatusNotFound, "not_found")
}

// The id of a job follows from its user's Idempotency-Key, so that it can be guessed. Kubernetes is asked just as often for
// another user's job as for one that does not exist: the time of an answer tells nothing.
func TestAnotherUsersIdempotencyKeyCannotBeTold(t *testing.T) {
	f := newTestAPI(t)
	alice, bob := f.key("team", "alice"), f.key("team", "bob")
	f.spider("team", "books")
	used := func(key string) string {
		var job struct{ JobID string }
		header := map[string]string{"Idempotency-Key": key}
		f.send(call{method: http.MethodPost, path: "/api/v1/jobs", key: bob, body: `{"spider_name": "books"}`, header: header}).
			into(&job)
		return job.JobID
	}
	for i, c := range []call{
		{method: http.MethodGet}, {method: http.MethodGet, path: "?wait=1s"}, {method: http.MethodGet, path: "/logs"},
		{method: http.MethodGet, path: "/logs?follow=true"}, {method: http.MethodHead}, {method: http.MethodDelete},
	} {
		made := used(fmt.Sprint("nightly-", i))
		unused := uuid.MustParse(made)
		unused[0]++
		for what, id := range map[string]string{"another's job": made, "none": unused.String()} {
			before := f.cluster.count("get")
			f.send(call{method: c.method, path: "/api/v1/jobs/" + id + c.path, key: alice}).want(http.StatusNotFound)
			if n := f.cluster.count("get") - before; n != 1 {
				t.Errorf("%s %s of %s asks Kubernetes %d times, want 1", c.method, c.path, what, n)
			}
		}
		f.get(bob, "/api/v1/jobs/"+made).want(http.StatusOK)
	}
}
