package apiserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// FuzzQuery sends any query to a list: it is answered, or refused with a sentence.
func FuzzQuery(f *testing.F) {
	server := newTestAPI(f)
	key := server.key("team", "")
	server.apply("team", "a", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseFinished })
	f.Add("status=finished&status=error&limit=3&cursor=AQAAAABnh4kAWBzIr5-dUuOb4DVakXHvIg")
	f.Add("spider_id=0198b2a0-0000-7000-8000-000000000001&created_after=2025-01-15T10:30:00Z")
	f.Add("limit=%zz&;")
	f.Add("_=1&status=&expectations=failed&limit=")
	f.Fuzz(func(t *testing.T, query string) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/jobs", http.NoBody)
		request.URL.RawQuery = query
		request.Header.Set("Authorization", "Bearer "+key)
		recorder := httptest.NewRecorder()
		server.server.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK && recorder.Code != http.StatusBadRequest {
			t.Fatalf("%q is answered %d %s", query, recorder.Code, recorder.Body)
		}
		if _, err := url.ParseQuery(query); err != nil {
			return // The checker cannot read it either.
		}
		if err := holdToContract(request, nil, recorder.Result(), recorder.Body.Bytes()); err != nil {
			t.Fatalf("%q: %v", query, err)
		}
	})
}

// FuzzReads sends any query and any headers to the calls that read them: each is answered, or refused with a sentence.
func FuzzReads(f *testing.F) {
	server := newTestAPI(f)
	key := server.key("team", "")
	spider := server.spider("team", "books")
	job, pod := server.running(f, "team", "a-job", finishedJob, func(job *v1alpha1.SpiderJob) {
		job.Spec.UserID, job.Status.PodName, job.Status.Attempts = "", "a-job-pod", 1
	})
	pod.write("hello")
	pod.terminate()
	paths := []string{
		"/api/v1/spiders",
		"/api/v1/spiders/" + spider,
		"/api/v1/jobs/" + job,
		"/api/v1/jobs/" + job + "/logs",
		eventsPath,
	}
	f.Add(uint8(0), "name=b&limit=3&cursor=AQAAAABnh4kAWBzIr5-dUuOb4DVakXHvIg", "", "")
	f.Add(uint8(1), "", `W/"x", *`, "")
	f.Add(uint8(2), "wait=1ms", `"x"`, "")
	f.Add(uint8(3), "follow=true&tail=10&since=1h30m", "", "")
	f.Add(uint8(3), "since=2025-01-15T10:30:00.5%2B01:00", "", "")
	f.Add(uint8(4), "", "", "12")
	f.Fuzz(func(t *testing.T, which uint8, query, noneMatch, lastEventID string) {
		path := paths[int(which)%len(paths)]
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		if path == eventsPath {
			leave() // They would not end by themselves.
		}
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
		request.URL.RawQuery = query
		request.Header.Set("Authorization", "Bearer "+key)
		for name, value := range map[string]string{"If-None-Match": noneMatch, "Last-Event-ID": lastEventID} {
			if value != "" && !strings.ContainsFunc(value, unicode.IsControl) { // Such a header does not get through net/http.
				request.Header.Set(name, value)
			}
		}
		recorder := httptest.NewRecorder()
		server.server.ServeHTTP(recorder, request)
		switch recorder.Code {
		case http.StatusOK, http.StatusNotModified, http.StatusBadRequest:
		default:
			t.Fatalf("%s?%s is answered %d %s", request.URL.Path, query, recorder.Code, recorder.Body)
		}
		if _, err := url.ParseQuery(query); err != nil {
			return // The checker cannot read it either.
		}
		if err := holdToContract(request, nil, recorder.Result(), recorder.Body.Bytes()); err != nil {
			t.Fatalf("%s?%s: %v", request.URL.Path, query, err)
		}
	})
}
