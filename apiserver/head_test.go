package apiserver

import (
	"net/http"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestHeadIsAnsweredAsGetIs asks for everything twice: status and headers are the same.
func TestHeadIsAnsweredAsGetIs(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	spider := "/api/v1/spiders/" + f.spider("team", "books")
	for _, name := range []string{"a", "b", "c"} {
		f.apply("team", name)
	}
	id, pod := f.running(t, "team", "with-log", func(job *v1alpha1.SpiderJob) { job.Status.FinishedAt = at(10, 35) })
	pod.write("hello\n")
	pod.terminate()
	job, gone := "/api/v1/jobs/"+id, "/api/v1/jobs/"+f.apply("team", "gone", func(job *v1alpha1.SpiderJob) {
		job.Status.Phase = v1alpha1.PhaseFinished
	})
	for _, path := range []string{
		"/livez", "/readyz", "/openapi.json", "/openapi.yaml", "/docs",
		"/api/v1/jobs", "/api/v1/jobs?limit=1", "/api/v1/jobs?limit=x", "/api/v1/jobs?unknown=1", "/api/v1/spiders", "/api/v1/me",
		job, job + "?wait=1s", job + "?wait=x", "/api/v1/jobs/unknown", spider, spider + "x",
		job + "/logs", job + "/logs?tail=1", gone + "/logs", "/api/v1/nothing",
	} {
		get := f.get(key, path)
		head := f.send(call{method: http.MethodHead, path: path, key: key})
		if head.status != get.status || head.body != "" {
			t.Errorf("HEAD %s is answered %d %q, GET %d", path, head.status, head.body, get.status)
		}
		for _, name := range []string{"Content-Type", "ETag", "Link", "Cache-Control", "Vary", "Content-Security-Policy"} {
			if head.header.Get(name) != get.header.Get(name) {
				t.Errorf("HEAD %s has %s %q, GET %q", path, name, head.header.Get(name), get.header.Get(name))
			}
		}
	}
	tag := f.get(key, job).header.Get("ETag")
	f.send(call{method: http.MethodHead, path: job, key: key, header: map[string]string{"If-None-Match": tag}}).
		want(http.StatusNotModified)
	f.send(call{method: http.MethodHead, path: job}).want(http.StatusUnauthorized)
}

// A HEAD that waited, or followed, would be answered after minutes.
func TestHeadNeverWaits(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	waiting := "/api/v1/jobs/" + f.apply("team", "waiting")
	id, pod := f.running(t, "team", "running")
	pod.write("hello\n")
	running := "/api/v1/jobs/" + id
	start := time.Now()
	for path, status := range map[string]int{
		waiting + "?wait=5m": http.StatusOK, waiting + "/logs?follow=true": http.StatusConflict, running + "?wait=5m": http.StatusOK,
		running + "/logs?follow=true": http.StatusOK, running + "/logs": http.StatusOK, eventsPath: http.StatusMethodNotAllowed,
	} {
		a := f.send(call{method: http.MethodHead, path: path, key: key}).want(status)
		if allow := a.header.Get("Allow"); (allow != "") != (status == http.StatusMethodNotAllowed) {
			t.Errorf("HEAD %s: Allow is %q", path, allow)
		}
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("the answers took %s", took)
	}
}
