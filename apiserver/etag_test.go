package apiserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestUnchangedIsNotSentAgain(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	spider := f.spider("team", "books")
	job := f.apply("team", "a-job")
	read := func(path, tag string) answer {
		t.Helper()
		header := map[string]string{}
		if tag != "" {
			header["If-None-Match"] = tag
		}
		return f.send(call{method: http.MethodGet, path: path, key: key, header: header})
	}
	for path, change := range map[string]func(){
		"/api/v1/jobs/" + job: func() {
			f.cluster.update(t, "team", "a-job", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseFinished })
		},
		"/api/v1/jobs/" + job + "?wait=1ms": func() {
			f.cluster.update(t, "team", "a-job", func(job *v1alpha1.SpiderJob) { job.Status.Message = "still" })
		},
		"/api/v1/spiders/" + spider: func() {
			f.patch(key, "/api/v1/spiders/"+spider, `{"description": "x"}`).want(http.StatusOK)
		},
	} {
		t.Run(path, func(t *testing.T) {
			whole := read(path, "").want(http.StatusOK)
			tag := whole.header.Get("ETag")
			if control := whole.header.Get("Cache-Control"); control != "private, no-cache" {
				t.Errorf("Cache-Control %q", control)
			}
			for _, same := range []string{tag, "W/" + tag, `"other", ` + tag, "*", ` "x",W/` + tag + " "} {
				a := read(path, same).want(http.StatusNotModified)
				if a.body != "" || a.header.Get("ETag") != tag {
					t.Errorf("If-None-Match: %s is answered %q with the tag %s", same, a.body, a.header.Get("ETag"))
				}
			}
			for _, other := range []string{`"other"`, strings.Trim(tag, `"`), tag[:len(tag)-2] + `"`, ","} {
				read(path, other).want(http.StatusOK)
			}
			change()
			if changed := read(path, tag).want(http.StatusOK); changed.header.Get("ETag") == tag {
				t.Error("the tag of another state is the same")
			}
		})
	}
	f.send(call{method: http.MethodGet, path: "/api/v1/jobs/" + job, key: f.key("team", "bob"), header: map[string]string{"If-None-Match": "*"}}).
		wantProblem(http.StatusNotFound, "not_found")
}

func TestTagOfAPendingJobFollowsItsSpider(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	spider := f.spider("team", "books")
	job := f.started(key, `{"spider_name": "books"}`)
	before := f.get(key, "/api/v1/jobs/"+job)
	f.patch(key, "/api/v1/spiders/"+spider, `{"name": "tomes"}`).want(http.StatusOK)
	after := f.get(key, "/api/v1/jobs/"+job)
	if before.body == after.body || before.header.Get("ETag") == after.header.Get("ETag") {
		t.Errorf("before %s %s, after %s %s", before.header.Get("ETag"), before.body, after.header.Get("ETag"), after.body)
	}
	f.cluster.update(t, "team", job, func(job *v1alpha1.SpiderJob) {
		job.Status.Phase, job.Status.Spider = v1alpha1.PhaseRunning, &v1alpha1.SpiderSnapshot{Name: "tomes"}
	})
	before = f.get(key, "/api/v1/jobs/"+job)
	f.patch(key, "/api/v1/spiders/"+spider, `{"name": "news"}`).want(http.StatusOK)
	if after := f.get(key, "/api/v1/jobs/"+job); before.header.Get("ETag") != after.header.Get("ETag") {
		t.Error("the tag of a job that has started follows its spider")
	}
}
