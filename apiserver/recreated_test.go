package apiserver

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// recreate replaces a user's job by another user's of the same name, as kubectl can, so that both have one id.
func (f *testAPI) recreate(namespace, name, userID string, change func(*v1alpha1.SpiderJob)) {
	f.t.Helper()
	f.cluster.delete(namespace, name)
	f.apply(namespace, name, func(job *v1alpha1.SpiderJob) {
		job.Spec.UserID = userID
		change(job)
	})
}

func ofAlice(job *v1alpha1.SpiderJob) { job.Spec.UserID = "alice" }

func asItIs(*v1alpha1.SpiderJob) {}

// The view is behind: it has alice's job still, where bob's is now.
func TestCancelOfAJobThatHasBecomeAnothersIsNotFound(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	id := f.apply("team", "a", ofAlice)
	f.cluster.held = true
	f.recreate("team", "a", "bob", asItIs)
	f.cancel(alice, id).wantProblem(http.StatusNotFound, "not_found")
	if f.cluster.job(t, "team", "a").Spec.Cancellation != nil {
		t.Error("alice has cancelled bob's job")
	}
}

func TestLogOfAJobThatHasBecomeAnothersIsNotFound(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	id, _ := f.running(t, "team", "a", ofAlice)
	f.get(alice, "/api/v1/jobs/"+id+"/logs").want(http.StatusOK)
	f.cluster.held = true
	job := f.cluster.job(t, "team", "a")
	f.recreate("team", "a", "bob", func(again *v1alpha1.SpiderJob) { again.UID, again.Status = job.UID, job.Status })
	f.get(alice, "/api/v1/jobs/"+id+"/logs").wantProblem(http.StatusNotFound, "not_found")
}

// The view is replaced by a complete list, as after a break of the watch: whoever waits meets bob's job in the place of alice's.
func TestWaitForAJobThatHasBecomeAnothersIsNotFound(t *testing.T) {
	for _, path := range []string{"?wait=30s", "/logs?follow=true"} {
		t.Run(path, func(t *testing.T) {
			f := newTestAPI(t, func(c *Config) { c.Limits.StreamsPerCaller = 1 })
			alice := f.key("team", "alice")
			id := f.apply("team", "a", ofAlice)
			waiting := f.waiting(t, alice, "/api/v1/jobs/"+id+path)
			bobs := f.cluster.job(t, "team", "a")
			bobs.ResourceVersion, bobs.Spec.UserID, bobs.Status.Message = "1000", "bob", "bob's secret"
			f.cluster.watch.Replace("", []*view.Job{mustCompact(bobs)}, "1000")
			select {
			case a := <-waiting:
				if path == "/logs?follow=true" { // which was answered before
					if a.want(http.StatusOK); a.body != "" {
						t.Errorf("alice is told %q", a.body)
					}
					return
				}
				a.wantProblem(http.StatusNotFound, "not_found")
			case <-time.After(5 * time.Second):
				t.Fatal("alice still waits for what is not hers")
			}
		})
	}
}

// waiting makes a request that waits, and returns once it does. The key must be one that may have one stream at once.
func (f *testAPI) waiting(t *testing.T, key, path string) <-chan answer {
	t.Helper()
	answered := make(chan answer, 1)
	go func() {
		for {
			if a := f.get(key, path); a.status != http.StatusTooManyRequests {
				answered <- a
				return
			}
		}
	}()
	short, _, _ := strings.Cut(path, "?")
	short, _ = strings.CutSuffix(short, "/logs")
	eventually(t, "the request waits", func() bool {
		return f.get(key, short+"?wait=1ms").status == http.StatusTooManyRequests
	})
	return answered
}
