package apiserver

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/client"
)

// client makes a client of the server, with a key.
func (f *testAPI) client(key string) *client.Client {
	f.t.Helper()
	c, err := client.New(f.url, key)
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// finish plays the controller at the end of a job.
func finish(job *v1alpha1.SpiderJob) {
	job.Status.Phase, job.Status.FinishedAt = v1alpha1.PhaseFinished, new(metav1.Now())
	job.Status.Stats = &v1alpha1.Stats{ItemsScraped: 142, Source: v1alpha1.OriginScrapyStats, Final: true}
}

// The client that is given to others does with this server what its methods say.
func TestTheClientRunsJobs(t *testing.T) {
	f := newTestAPI(t)
	c := f.client(f.key("team", "alice"))
	f.spider("team", "books")
	start := client.StartJob{SpiderName: "books", Arguments: map[string]any{"q": "<a>", "pages": 3}}
	started, err := c.StartJob(t.Context(), start, client.StartJobParams{IdempotencyKey: "once"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.StartJob(t.Context(), start, client.StartJobParams{IdempotencyKey: "once"})
	if err != nil || again.JobID != started.JobID {
		t.Errorf("started again as %+v, %v", again, err)
	}
	job, err := c.GetJob(t.Context(), started.JobID, client.GetJobParams{})
	if err != nil || job.Status != client.JobStatusPending || job.Arguments["q"] != "<a>" || job.Arguments["pages"] != "3" {
		t.Errorf("the job is %+v, %v", job, err)
	}
	ended := make(chan *client.Job, 1)
	go func() {
		job, err := c.WaitForEnd(t.Context(), started.JobID)
		if err != nil {
			t.Error(err)
		}
		ended <- job
	}()
	f.cluster.update(t, "team", started.JobID, finish)
	if job := <-ended; job == nil || job.Status != client.JobStatusFinished || job.ItemsScraped != 142 ||
		job.Stats.Responses != nil {
		t.Errorf("it ended as %+v", job)
	}
	if err := c.CancelJob(t.Context(), started.JobID, client.CancelJobParams{}); !client.HasCode(err, client.CodeJobEnded) {
		t.Errorf("cancelling it is answered %v", err)
	}
	for range 2 {
		other, err := c.StartJob(t.Context(), start, client.StartJobParams{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CancelJob(t.Context(), other.JobID, client.CancelJobParams{GracePeriodSeconds: new(5)}); err != nil {
			t.Error(err)
		}
	}
	var statuses []client.JobStatus
	for job, err := range c.AllJobs(t.Context(), client.ListJobsParams{SpiderName: "books", Limit: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, job.Status)
	}
	slices.Sort(statuses)
	if want := []client.JobStatus{"cancelled", "cancelled", "finished"}; !slices.Equal(statuses, want) {
		t.Errorf("listed are %q, want %q", statuses, want)
	}
	_, err = c.ListJobs(t.Context(), client.ListJobsParams{Limit: 5000})
	if !client.HasCode(err, client.CodeInvalidRequest) || !strings.Contains(err.Error(), "limit: must be a whole number") {
		t.Errorf("a page that is too large is answered %v", err)
	}
}

func TestTheClientFollowsJobsAndLogs(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	c := f.client(f.key("team", ""))
	id, _ := f.running(t, "team", "running")
	var told []string
	for event, err := range c.JobEvents(t.Context(), "0") {
		if err != nil {
			t.Fatal(err)
		}
		switch told = append(told, event.Type); {
		case event.Type == client.EventReady:
			f.cluster.update(t, "team", "running", func(job *v1alpha1.SpiderJob) { job.Status.Message = "on its way" })
		case event.Type == client.EventJob && event.Job.Message != "":
			f.cluster.delete("team", "running")
		}
		if event.Type == client.EventDeleted {
			if event.JobID != id {
				t.Errorf("job %s is deleted, want %s", event.JobID, id)
			}
			break
		}
	}
	if want := []string{"reset", "job", "ready", "job", "deleted"}; !slices.Equal(told, want) {
		t.Errorf("events %q, want %q", told, want)
	}

	id, pod := f.running(t, "team", "with-log")
	pod.write("first")
	var lines []string
	for event, err := range c.FollowLog(t.Context(), id, client.GetJobLogsParams{}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Type != client.EventLine {
			t.Fatalf("event %s %s", event.Type, event.Data)
		}
		switch lines = append(lines, event.Line.Line); event.Line.Line {
		case "first":
			pod.cut() // It is taken up again by the server or by the client.
			pod.write("last")
		case "last":
			pod.terminate()
		}
	}
	if !slices.Equal(lines, []string{"first", "last"}) {
		t.Errorf("lines %q", lines)
	}
	if _, err := c.GetJobLogs(
		t.Context(), f.apply("team", "fresh"), client.GetJobLogsParams{},
	); !client.HasCode(
		err,
		client.CodeNotStarted,
	) {
		t.Errorf("the log of what has not started is answered %v", err)
	}
}

func TestTheClientKeepsSpiders(t *testing.T) {
	f := newTestAPI(t)
	c := f.client(f.key("team", "alice"))
	made, err := c.CreateSpider(t.Context(), client.NewSpider{
		Name: "books", RepoPath: new("spiders/books.py"), Description: "All books", Settings: map[string]any{"DOWNLOAD_DELAY": 0.5},
	})
	if err != nil || made.RepoPath != "spiders/books.py" || made.Settings["DOWNLOAD_DELAY"] != "0.5" {
		t.Fatalf("made %+v, %v", made, err)
	}
	if _, err := c.CreateSpider(t.Context(), client.NewSpider{Name: "books"}); !client.HasCode(err, client.CodeSpiderExists) {
		t.Errorf("a second of the name is answered %v", err)
	}
	changed, err := c.ChangeSpider(
		t.Context(), made.ID, client.SpiderChange{"description": nil, "settings": map[string]any{"DOWNLOAD_DELAY": nil}},
	)
	if err != nil || changed.Description != "" || len(changed.Settings) != 0 {
		t.Errorf("changed to %+v, %v", changed, err)
	}
	page, err := c.ListSpiders(t.Context(), client.ListSpidersParams{Name: "BOO"})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != made.ID || page.Next != "" {
		t.Errorf("listed are %+v, %v", page, err)
	}
	if err := c.DeleteSpider(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
	if _, err := c.GetSpider(t.Context(), made.ID); !client.HasCode(err, client.CodeNotFound) {
		t.Errorf("what was deleted is answered %v", err)
	}
	me, err := c.GetMe(t.Context())
	if err != nil || me.UserID != "alice" || me.Namespace != "team" {
		t.Errorf("the caller is %+v, %v", me, err)
	}
	if ready, err := c.GetReadyz(t.Context()); err != nil || ready.Status != "ok" {
		t.Errorf("the server is %+v, %v", ready, err)
	}
	if live, err := f.client("").GetLivez(t.Context()); err != nil || live.Status != "ok" {
		t.Errorf("the process is %+v, %v", live, err)
	}
	if _, err := f.client("st_wrong").GetMe(t.Context()); !client.HasCode(err, client.CodeUnauthorized) {
		t.Errorf("a wrong key is answered %v", err)
	}
	if err := c.Do(t.Context(), http.MethodPut, "/api/v1/spiders", nil, nil); !client.HasCode(err, client.CodeMethodNotAllowed) {
		t.Errorf("what there is not is answered %v", err)
	}
}
