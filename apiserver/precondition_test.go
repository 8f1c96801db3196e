package apiserver

import (
	"errors"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// conditional makes a call that If-Match holds to a state.
func (f *testAPI) conditional(method, key, path, body, tag string) answer {
	f.t.Helper()
	return f.send(call{method: method, path: path, key: key, body: body, header: map[string]string{"If-Match": tag}})
}

func TestASpiderIsChangedOnlyInTheStateThatIsMeant(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	path := "/api/v1/spiders/" + f.spider("team", "books")
	tag := f.get(key, path).header.Get("ETag")
	for _, name := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
		f.conditional(http.MethodPatch, key, path, `{}`, name).want(http.StatusOK)
	}
	for _, other := range []string{`"other"`, "", ",", tag[1 : len(tag)-1], `"` + tag[2:]} {
		f.conditional(http.MethodPatch, key, path, `{"description": "x"}`, other).
			wantProblem(http.StatusPreconditionFailed, "precondition_failed", "This spider has changed")
		f.conditional(http.MethodDelete, key, path, "", other).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	}
	if n := f.spiders.count("patch") + f.spiders.count("delete"); n > 0 {
		t.Errorf("%d writes have reached Kubernetes", n)
	}

	// What is not asked of a spider may change.
	f.spiders.update(t, "team", "books", func(spider *v1alpha1.Spider) { spider.Labels = map[string]string{"a": "b"} })
	if now := f.get(key, path).header.Get("ETag"); now == tag {
		t.Fatal("the tag of another state is the same, so nothing is tested")
	}
	changed := f.conditional(http.MethodPatch, key, path, `{"description": "x"}`, tag).want(http.StatusOK)
	f.conditional(http.MethodPatch, key, path, `{"description": "y"}`, tag).
		wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	if description := f.spiders.spider(t, "team", "books").Spec.Description; description != "x" {
		t.Errorf("the description is %q", description)
	}
	f.conditional(http.MethodDelete, key, path, "", changed.header.Get("ETag")).want(http.StatusOK)
	f.conditional(http.MethodPatch, key, path, `{}`, "*").wantProblem(http.StatusNotFound, "not_found")
}

// A spider that was made anew under its name is another one.
func TestATagIsNotOfALaterSpiderOfTheName(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	aged := func(s *v1alpha1.Spider) { s.CreationTimestamp = *at(10, 30) }
	path := "/api/v1/spiders/" + f.spider("team", "books", aged)
	tag := f.get(key, path).header.Get("ETag")
	f.delete(key, path).want(http.StatusOK)
	f.spider("team", "books")
	f.conditional(http.MethodDelete, key, path, "", tag).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
}

func TestAJobIsCancelledOnlyInTheStateThatIsMeant(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	path := "/api/v1/jobs/" + f.apply("team", "a")
	tag := f.get(key, path).header.Get("ETag")
	for _, other := range []string{`"other"`, "", tag[1 : len(tag)-1]} {
		f.conditional(http.MethodDelete, key, path, "", other).
			wantProblem(http.StatusPreconditionFailed, "precondition_failed", "This job has changed")
	}
	f.cluster.update(t, "team", "a", func(job *v1alpha1.SpiderJob) { // Counts are not what is meant.
		job.Status.Phase, job.Status.Stats = v1alpha1.PhaseRunning, &v1alpha1.Stats{ItemsScraped: 7}
	})
	cancelled := f.conditional(http.MethodDelete, key, path+"?grace_period_seconds=60", "", "W/"+tag).want(http.StatusOK)
	f.conditional(http.MethodDelete, key, path+"?grace_period_seconds=5", "", tag).
		wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	f.conditional(http.MethodDelete, key, path, "", tag).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	if c := f.cluster.job(t, "team", "a").Spec.Cancellation; *c.GracePeriodSeconds != 60 {
		t.Errorf("the grace period is %d", *c.GracePeriodSeconds)
	}
	f.conditional(http.MethodDelete, key, path+"?grace_period_seconds=5", "", cancelled.header.Get("ETag")).want(http.StatusOK)
	f.cluster.update(t, "team", "a", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseFinished })
	f.conditional(http.MethodDelete, key, path, "", tag).wantProblem(http.StatusPreconditionFailed, "precondition_failed")
	f.conditional(http.MethodDelete, key, path, "", "*").wantProblem(http.StatusConflict, "job_ended")
}

// A state that another replica has made, and that this one has not seen yet, is read before it is taken for another than is
// meant.
func TestATagOfAnotherReplicaIsKnown(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	spider, job := "/api/v1/spiders/"+f.spider("team", "books"), "/api/v1/jobs/"+f.apply("team", "a")
	f.spiders.held, f.cluster.held = true, true
	f.cluster.update(t, "team", "a", func(job *v1alpha1.SpiderJob) {
		job.Spec.Cancellation = &v1alpha1.Cancellation{RequestedBy: "kubectl", RequestedAt: new(metav1.Now())}
	})
	f.spiders.update(t, "team", "books", func(spider *v1alpha1.Spider) { spider.Spec.Description = "another replica's" })
	// The tags of what is there, by a server that sees it.
	second := newTestAPI(t)
	other := second.key("team", "")
	second.spiders.watch.Set("", mustCompactSpider(f.spiders.spider(t, "team", "books")))
	second.cluster.watch.Set("", mustCompact(f.cluster.job(t, "team", "a")))
	spiderTag, jobTag := second.get(other, spider).header.Get("ETag"), second.get(other, job).header.Get("ETag")
	if f.get(key, spider).header.Get("ETag") == spiderTag || f.get(key, job).header.Get("ETag") == jobTag {
		t.Fatal("the server has seen what it should not, so nothing is tested")
	}
	f.conditional(http.MethodPatch, key, spider, `{"description": "z"}`, spiderTag).want(http.StatusOK)
	f.conditional(http.MethodDelete, key, job+"?grace_period_seconds=5", "", jobTag).want(http.StatusOK)
}

// A cancel that was recorded though it was not answered is not taken for somebody else's.
func TestACancelMeetsItself(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	path := "/api/v1/jobs/" + f.apply("team", "a")
	tag := f.get(key, path).header.Get("ETag")
	f.cluster.held = true
	f.cluster.fail = func(call string, recorded bool) error {
		if call == "cancel" && recorded {
			return errors.New("connection reset by peer")
		}
		return nil
	}
	f.conditional(http.MethodDelete, key, path, "", tag).want(http.StatusOK)
}

func TestWritesTellTheTagOfWhatTheyMake(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	var spider struct{ ID string }
	var job struct{ JobID string }
	made := f.post(key, "/api/v1/spiders", `{"name": "books", "repo_path": null}`).want(http.StatusOK)
	made.into(&spider)
	path := "/api/v1/spiders/" + spider.ID
	wantTag := func(a answer, path string) {
		t.Helper()
		if tag := f.get(key, path).header.Get("ETag"); a.header.Get("ETag") != tag {
			t.Errorf("ETag of the write is %q, of %s %q", a.header.Get("ETag"), path, tag)
		}
	}
	wantTag(made, path)
	wantTag(f.patch(key, path, `{"description": "x"}`), path)
	wantTag(f.patch(key, path, `{}`), path)
	started := f.start(key, `{"spider_name": "books"}`)
	started.into(&job)
	path = "/api/v1/jobs/" + job.JobID
	wantTag(started, path)
	wantTag(f.cancel(key, job.JobID), path)
	wantTag(f.cancel(key, job.JobID), path)
	started.wantJSON(`{"jobId": "` + job.JobID + `", "status": "pending"}`)
	f.cancel(key, job.JobID).wantJSON(`{"ok": true, "message": "Job cancelled"}`)
}
