package apiserver

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/client"
)

// rerun starts a job again, with an Idempotency-Key unless that is empty.
func (f *testAPI) rerun(key, id, once string) answer {
	f.t.Helper()
	c := call{method: http.MethodPost, path: "/api/v1/jobs/" + id + "/rerun", key: key}
	if once != "" {
		c.header = map[string]string{"Idempotency-Key": once}
	}
	return f.send(c)
}

// rerunID returns the id of the job that an answer tells of.
func rerunID(a answer) string {
	a.t.Helper()
	var started struct{ JobID string }
	a.want(http.StatusOK).into(&started)
	return started.JobID
}

// demanding is a Spider that allows much, and a job that asks for all of it.
func demanding(s *v1alpha1.Spider) {
	s.Spec.AllowedSettings, s.Spec.TimeoutSeconds, s.Spec.Retries = []string{"USER_AGENT"}, new(int64(600)), new(int32(2))
	s.Spec.StartDeadlineSeconds = new(int64(300))
}

const demandingStart = `{"spider_name": "books", "arguments": {"q": "<a>", "n": 1}, "settings": {"USER_AGENT": "me"},
	"timeout_seconds": 60, "start_deadline_seconds": 61, "retries": 1, "expectations": {"min_items": 5}, "tags": ["eu"], "note": "mine"}`

func TestARerunIsTheSameAgain(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books", demanding)
	first := f.started(key, demandingStart)
	f.cluster.update(t, "team", first, finish)
	f.patch(key, "/api/v1/jobs/"+first, `{"tags": ["eu", "again"]}`).want(http.StatusOK)
	a := f.rerun(key, first, "")
	second := rerunID(a)
	a.wantJSON(`{"jobId": "` + second + `", "status": "pending"}`)
	was, is := f.cluster.job(t, "team", first), f.cluster.job(t, "team", second)
	if diff := gocmp.Diff(was.Spec, is.Spec); diff != "" || second == first {
		t.Errorf("what was started again differs (-was +is):\n%s", diff)
	}
	f.wantNoted(key, second, "{Tags:[again eu] Note: Origin:rerun}")
	if a.header.Get("ETag") != f.get(key, "/api/v1/jobs/"+second).header.Get("ETag") {
		t.Error("the ETag is not the new job's")
	}
	if third := rerunID(f.rerun(key, second, "")); third == second {
		t.Error("each call without an Idempotency-Key starts a job")
	}
}

// Arguments that the view does not keep are read from Kubernetes, and what only kubectl can say of a job stays behind.
func TestARerunOfAJobThatKubectlMade(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	id := f.apply("team", "by-hand", finishedJob, tagged(sixteen()...), tagged("x"), func(job *v1alpha1.SpiderJob) {
		job.Spec.UserID = ""
		job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"long": v1alpha1.ArgumentValue(strings.Repeat("x", 30_000))}
		job.Spec.TTLSecondsAfterFinished, job.Spec.ScheduledFor = new(int64(60)), at(10, 30)
		job.Spec.Cancellation = &v1alpha1.Cancellation{}
		job.Labels["team"], job.Labels[v1alpha1.LabelSchedule], job.Labels[v1alpha1.LabelOrigin] = "books", "nightly", "schedule"
	})
	again := f.cluster.job(t, "team", rerunID(f.rerun(key, id, "")))
	want := v1alpha1.SpiderJobSpec{
		SpiderRef: v1alpha1.SpiderReference{Name: "books"}, Arguments: f.cluster.job(t, "team", "by-hand").Spec.Arguments,
	}
	if diff := gocmp.Diff(want, again.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if len(again.Tags()) != 16 || len(again.Labels) != 17 || again.ScheduleID() != "" {
		t.Errorf("labels %v", again.Labels)
	}
}

func TestARerunIsMadeOnce(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "alice")
	f.spider("team", "books")
	first, other := f.started(key, `{"spider_name": "books"}`), f.started(key, `{"spider_name": "books"}`)
	again := rerunID(f.rerun(key, first, "k"))
	if id := rerunID(f.rerun(key, strings.ToUpper(first), "k")); id != again {
		t.Errorf("the same again made %s, want %s", id, again)
	}
	f.rerun(key, other, "k").wantProblem(http.StatusConflict, "idempotency_conflict")
	f.rerun(key, first, "a b").wantProblem(http.StatusBadRequest, "invalid_request", "Idempotency-Key")
	f.send(call{method: http.MethodPost, path: "/api/v1/jobs", key: key, body: `{"spider_name": "books"}`, header: map[string]string{
		"Idempotency-Key": "k",
	}}).wantProblem(http.StatusConflict, "idempotency_conflict")
	if id := rerunID(f.rerun(f.key("team", "alice"), first, "k")); id != again {
		t.Error("another key of the same user makes another job")
	}
	f.cluster.delete("team", first)
	f.spiders.watch.Replace("", nil, "")
	if id := rerunID(f.rerun(key, first, "k")); id != again {
		t.Errorf("when all else is gone the same again made %s, want %s", id, again)
	}

	f.cluster.held = true // Another replica has not seen the job yet.
	f.spider("team", "news")
	news := f.apply("team", "news", ofAlice, func(job *v1alpha1.SpiderJob) { job.Spec.SpiderRef.Name = "news" })
	f.cluster.watch.Set("", mustCompact(f.cluster.job(t, "team", "news")))
	once := rerunID(f.rerun(key, news, "held"))
	replica := newTestAPI(t, func(c *Config) { c.Kubernetes, c.Authenticator, c.Spiders = f.cluster, f.keys, f.spiders.watch })
	replica.cluster.watch.Set("", mustCompact(f.cluster.job(t, "team", "news")))
	if id := rerunID(replica.rerun(key, news, "held")); id != once {
		t.Errorf("a replica made %s, want %s", id, once)
	}
}

func TestARerunThatIsRefused(t *testing.T) {
	f := newTestAPI(t)
	alice := f.key("team", "alice")
	f.spider("team", "books", demanding)
	id := f.started(alice, demandingStart)
	for _, other := range []string{f.key("team", "bob"), f.key("team", ""), f.key("other", "alice")} {
		f.rerun(other, id, "").wantProblem(http.StatusNotFound, "not_found", "This job")
	}
	f.rerun(alice, "unknown", "").wantProblem(http.StatusNotFound, "not_found", "This job")
	f.rerun(alice, "unknown", "k").wantProblem(http.StatusNotFound, "not_found", "This job")
	path := "/api/v1/jobs/" + id + "/rerun"
	f.post(alice, path, `{}`).want(http.StatusOK)
	f.post(alice, path, `{"tags": []}`).wantProblem(http.StatusBadRequest, "invalid_request", "tags: there is no such field")
	f.post(alice, path, `[]`).wantProblem(http.StatusBadRequest, "malformed_body")
	f.get(alice, path).wantProblem(http.StatusMethodNotAllowed, "method_not_allowed")

	f.cluster.fail = func(call string, _ bool) error {
		if call == "get" {
			return errors.New("connection refused")
		}
		return nil
	}
	f.rerun(alice, id, "").wantProblem(http.StatusServiceUnavailable, "unavailable", "Kubernetes")
	f.cluster.fail = nil

	f.spiders.update(t, "team", "books", func(s *v1alpha1.Spider) { s.Spec.AllowedSettings = nil })
	f.rerun(alice, id, "").wantProblem(http.StatusBadRequest, "invalid_request", "settings.USER_AGENT")
	f.spiders.update(t, "team", "books", func(s *v1alpha1.Spider) { s.Spec.UserID = "bob" })
	f.rerun(alice, id, "").wantProblem(http.StatusNotFound, "not_found", "This spider")
	if err := f.spiders.Delete(t.Context(), "team", "books", ""); err != nil {
		t.Fatal(err)
	}
	f.rerun(alice, id, "").wantProblem(http.StatusNotFound, "not_found", "This spider")

	f.cluster.held = true
	f.recreate("team", id, "bob", asItIs)
	f.rerun(alice, id, "").wantProblem(http.StatusNotFound, "not_found", "This job")
}

func TestTheClientTagsAndStartsAgain(t *testing.T) {
	f := newTestAPI(t)
	c := f.client(f.key("team", "alice"))
	f.spider("team", "books")
	first, err := c.StartJob(t.Context(), client.StartJob{SpiderName: "books", Tags: []string{"eu"}, Note: "x"}, client.StartJobParams{})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := c.ChangeJob(t.Context(), first.JobID, client.JobChange{"tags": []string{"us", "eu"}, "note": nil})
	if err != nil || changed.Note != "" || strings.Join(changed.Tags, " ") != "eu us" || changed.Origin != "api" {
		t.Errorf("the job is %+v, %v", changed, err)
	}
	again, err := c.RerunJob(t.Context(), first.JobID, client.RerunJobParams{})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for job, err := range c.AllJobs(t.Context(), client.ListJobsParams{Tag: []string{"eu", "us"}, Origin: "rerun"}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, job.ID)
	}
	if strings.Join(found, " ") != again.JobID {
		t.Errorf("found are %v, want %s", found, again.JobID)
	}
}
