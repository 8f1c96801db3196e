package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/spiders"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// scrapyd is a scrapydAPI as Scrapyd has it, over the use cases alone.
func scrapyd(caller auth.Identity, runs *jobs.Jobs) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, call func(*http.Request) (map[string]any, error)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			answer, err := call(r)
			if err != nil { // Scrapyd answers 200, whatever went wrong.
				answer = map[string]any{"status": "error", "message": failure.Of(err).Message}
			}
			_ = json.NewEncoder(w).Encode(answer)
		})
	}
	serve("POST /schedule.json", func(r *http.Request) (map[string]any, error) {
		asked := &jobs.Request{SpiderName: r.FormValue("spider"), Arguments: map[string]v1alpha1.ArgumentValue{}}
		for name := range r.PostForm {
			if name != "project" && name != "spider" {
				asked.Arguments[name] = v1alpha1.ArgumentValue(r.PostForm.Get(name))
			}
		}
		job, err := runs.Start(r.Context(), caller, asked)
		if err != nil {
			return nil, err
		}
		return map[string]any{"status": "ok", "jobid": job.ID.String()}, nil
	})
	serve("POST /cancel.json", func(r *http.Request) (map[string]any, error) {
		_, err := runs.Cancel(r.Context(), caller, r.FormValue("job"), nil, nil)
		return map[string]any{"status": "ok"}, err
	})
	serve("GET /listjobs.json", func(*http.Request) (map[string]any, error) {
		answer := map[string]any{"status": "ok", "pending": []string{}, "running": []string{}, "finished": []string{}}
		found, _ := runs.List(caller, view.Query{Limit: 100})
		for _, job := range found {
			state := map[view.Status]string{view.Pending: "pending", view.Running: "running"}[job.Status]
			if state == "" {
				state = "finished"
			}
			answer[state] = append(answer[state].([]string), job.ID.String())
		}
		return answer, nil
	})
	return mux
}

// Another scrapydAPI calls the same use cases, and copies nothing of the first.
func TestAnotherFaceNeedsNoCopying(t *testing.T) {
	f := newTestAPI(t)
	f.spider("team", "books")
	found := spiders.New(f.spiders.watch, f.spiders)
	alice := auth.Identity{Namespace: "team", User: "alice", UserID: "alice", KeyName: "scrapyd"}
	scrapydAPI := scrapyd(alice, jobs.New(jobs.Config{
		View: f.cluster.watch, Kubernetes: f.cluster, Spiders: found, Quotas: f.quotas, Now: time.Now,
	}))
	type answered struct {
		Status, Message, JobID     string
		Pending, Running, Finished []string
	}
	ask := func(method, path string, form url.Values) (a answered) {
		t.Helper()
		recorder := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), method, path+"?"+form.Encode(), http.NoBody)
		if method == http.MethodPost {
			request.URL.RawQuery, request.PostForm, request.Form = "", form, form
		}
		scrapydAPI.ServeHTTP(recorder, request)
		if err := json.Unmarshal(recorder.Body.Bytes(), &a); err != nil {
			t.Fatalf("%s is answered %s", path, recorder.Body)
		}
		return a
	}
	started := ask(http.MethodPost, "/schedule.json", url.Values{"project": {"default"}, "spider": {"books"}, "pages": {"3"}})
	if job := f.cluster.job(t, "team", started.JobID); job.Spec.Arguments["pages"] != "3" || job.User() != "alice" {
		t.Errorf("schedule.json has made %+v", job.Spec)
	}
	f.get(f.key("team", "alice"), "/api/v1/jobs/"+started.JobID).want(http.StatusOK)
	if list := ask(http.MethodGet, "/listjobs.json", nil); len(list.Pending) != 1 || list.Pending[0] != started.JobID {
		t.Errorf("listjobs.json shows %+v", list)
	}
	if a := ask(http.MethodPost, "/cancel.json", url.Values{"job": {started.JobID}}); a.Status != "ok" {
		t.Errorf("cancel.json is answered %+v", a)
	}
	if list := ask(http.MethodGet, "/listjobs.json", nil); len(list.Pending) != 0 || len(list.Finished) != 1 {
		t.Errorf("after the cancel listjobs.json shows %+v", list)
	}
	for path, form := range map[string]url.Values{
		"/schedule.json": {"spider": {"none"}}, "/cancel.json": {"job": {"none"}},
	} {
		if a := ask(http.MethodPost, path, form); a.Status != "error" || a.Message == "" {
			t.Errorf("%s %v is answered %+v", path, form, a)
		}
	}
	if a := ask(http.MethodPost, "/schedule.json", url.Values{"spider": {"books"}, "a=b": {"x"}}); a.Status != "error" {
		t.Errorf("an argument that no spider takes is answered %+v", a)
	}
}
