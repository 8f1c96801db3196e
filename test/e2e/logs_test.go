package e2e

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	rest "github.com/scrapethis/spider-operator/client"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// log reads a job's log, with a query of how.
func log(t *testing.T, api *harness.API, id, query string) string {
	t.Helper()
	response := api.Do(harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs/" + id + "/logs" + query})
	if response.Status != http.StatusOK {
		t.Fatalf("the log%s of job %s is answered %d %s", query, id, response.Status, response.Body)
	}
	return string(response.Body)
}

func TestALogIsReadWholeByItsEndAndByTime(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("books")
	api := n.API("alice")
	id := api.Start("books", nil)
	whole := n.Log(n.AwaitEnd(id, crawl).Status.PodName)
	if got := log(t, api, id, ""); got != whole || !strings.Contains(got, "Dumping Scrapy stats") {
		t.Errorf("the log has %d bytes, kubectl's %d:\n%s", len(got), len(whole), got)
	}
	if got := log(t, api, id, "?follow=true"); got != whole {
		t.Errorf("followed after its end the log has %d bytes, kubectl's %d", len(got), len(whole))
	}
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	want := strings.Join(lines[len(lines)-3:], "") + "\n"
	if got := log(t, api, id, "?tail=3"); got != want {
		t.Errorf("the last 3 lines are\n%s, want\n%s", got, want)
	}
	if got := log(t, api, id, "?since=1h"); got != whole {
		t.Errorf("the last hour has %d bytes, want all %d", len(got), len(whole))
	}
	if got := log(t, api, id, "?since="+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)); got != "" {
		t.Errorf("since an hour from now there is %q", got)
	}
}

func TestALogIsFollowedFromBeforeTheStartToItsEnd(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Scrapy("books")
	api := n.API("alice")
	id := api.Start("books", nil)
	followed, err := api.Client().GetJobLogs(t.Context(), id, rest.GetJobLogsParams{Follow: true}) // It waits for the start.
	if err != nil {
		t.Fatal(err)
	}
	defer followed.Close()
	reader := bufio.NewReader(followed)
	first, err := reader.ReadString('\n')
	if err != nil {
		t.Fatalf("read the first line: %v", err)
	}
	if job := api.Get(id); !job.FinishedAt.IsZero() {
		t.Error("the first line came after the job's end")
	}
	others, err := io.ReadAll(reader)
	if err != nil {
		t.Fatalf("read to the end: %v", err)
	}
	if whole := n.Log(n.AwaitEnd(id, crawl).Status.PodName); first+string(others) != whole {
		t.Errorf("followed, the log has %d bytes, kubectl's %d:\n%s", len(first)+len(others), len(whole), first+string(others))
	}
}

func TestALogIsGoneWithItsPod(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter", func(spec *v1alpha1.SpiderSpec) { spec.PodRetentionSeconds = ptr.To[int64](0) })
	n.Counter("nowhere", func(spec *v1alpha1.SpiderSpec) {
		spec.Pod.NodeSelector = map[string]string{"example.com/no-such-node": "true"}
	})
	api := n.API("alice")
	id := api.Start("counter", map[string]any{"n": 1})
	n.AwaitGone(&corev1.Pod{}, n.AwaitEnd(id, crawl).Status.PodName, soon)
	logs := func(id string) harness.Request {
		return harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs/" + id + "/logs"}
	}
	if problem := api.Refused(http.StatusGone, logs(id)); problem.Code != "log_gone" {
		t.Errorf("the log of a job without its Pod is refused with %+v", problem)
	}
	id = api.Start("nowhere", nil)
	if problem := api.Refused(http.StatusConflict, logs(id)); problem.Code != "not_started" {
		t.Errorf("the log of a job that has not started is refused with %+v", problem)
	}
	api.Cancel(id)
	api.Wait(id, soon)
	if problem := api.Refused(http.StatusGone, logs(id)); problem.Code != "log_gone" {
		t.Errorf("the log of a job that never ran is refused with %+v", problem)
	}
}
