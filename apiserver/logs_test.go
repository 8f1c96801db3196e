package apiserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
)

// opened is an answer that is being read.
type opened struct {
	t      testing.TB
	lines  *bufio.Reader
	status int
	header http.Header
	closed bool // whether the connection ends with the answer
	leave  func()
}

// open makes a request the answer to which lasts.
func (f *testAPI) open(key, path string, header ...string) *opened {
	f.t.Helper()
	ctx, leave := context.WithCancel(f.t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+path, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatalf("GET %s: %v", path, err)
	}
	f.t.Cleanup(func() {
		leave()
		_ = response.Body.Close()
	})
	return &opened{
		t:      f.t,
		lines:  bufio.NewReader(response.Body),
		status: response.StatusCode,
		header: response.Header,
		closed: response.Close,
		leave:  leave,
	}
}

// line reads one line of the answer.
func (o *opened) line() string {
	o.t.Helper()
	line, err := o.lines.ReadString('\n')
	if err != nil {
		o.t.Fatalf("reading a line: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// wantEnd fails the test unless the answer ends here, complete.
func (o *opened) wantEnd() {
	o.t.Helper()
	if rest, err := io.ReadAll(o.lines); err != nil || len(rest) > 0 {
		o.t.Errorf("at its end the answer goes on with %q, %v", rest, err)
	}
}

// wantCut fails the test unless the answer is cut off here.
func (o *opened) wantCut() {
	o.t.Helper()
	if rest, err := io.ReadAll(o.lines); !errors.Is(err, io.ErrUnexpectedEOF) || len(rest) > 0 {
		o.t.Errorf("at its end the answer goes on with %q, %v, and looks complete", rest, err)
	}
}

// wantCutSoon is wantCut where something may still be told before.
func (o *opened) wantCutSoon() {
	o.t.Helper()
	if _, err := io.ReadAll(o.lines); !errors.Is(err, io.ErrUnexpectedEOF) {
		o.t.Errorf("the answer ends with %v, and looks complete", err)
	}
}

func TestLogOfAJob(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id, pod := f.running(t, "team", "a-job")
	path := "/api/v1/jobs/" + id + "/logs"
	if a := f.get(key, path).want(http.StatusOK); a.body != "" {
		t.Errorf("the log of a job that has said nothing is %q", a.body)
	}
	pod.change(func() {
		pod.lines = []logLine{
			{time.Now().Add(-time.Hour), "one\n"},
			{time.Now().Add(-time.Minute), "two\n"},
			{time.Now(), "2025 three\n"},
		}
	})
	for query, want := range map[string]string{
		"":                               "one\ntwo\n2025 three\n",
		"?follow=false":                  "one\ntwo\n2025 three\n",
		"?tail=2":                        "two\n2025 three\n",
		"?tail=0":                        "",
		"?since=10m":                     "two\n2025 three\n",
		"?since=30":                      "2025 three\n",
		"?since=2h":                      "one\ntwo\n2025 three\n",
		"?since=2999-01-15T10:30:00Z":    "",
		"?since=1999-01-15T10:30:00.5Z":  "one\ntwo\n2025 three\n",
		"?since=10m&tail=1&follow=false": "2025 three\n",
	} {
		a := f.get(key, path+query).want(http.StatusOK)
		if a.body != want {
			t.Errorf("%s: log %q, want %q", query, a.body, want)
		}
		if kind := a.header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
			t.Errorf("Content-Type %q", kind)
		}
	}
	pod.terminate()
	if a := f.get(key, path+"?follow=true&tail=1").want(http.StatusOK); a.body != "2025 three\n" {
		t.Errorf("followed after its end the log is %q", a.body)
	}
	for _, query := range []string{
		"follow=yes", "follow=", "follow=1", "tail=-1", "tail=x", "tail=", "tail=1000001", "tail=1.5", "since=", "since=x", "since=-1s", "since=1d",
		"since=0", "since=9000h", "since=yesterday", "since=1960-01-15T10:30:00Z", "tail=1&tail=2",
	} {
		name, _, _ := strings.Cut(query, "=")
		f.get(key, path+"?"+query).wantProblem(http.StatusBadRequest, "invalid_request", name)
	}
}

func TestLogIsFollowedToItsEnd(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id, pod := f.running(t, "team", "a-job")
	pod.write("before", "last before")
	log := f.open(key, "/api/v1/jobs/"+id+"/logs?follow=true&tail=1")
	if line := log.line(); line != "last before" {
		t.Errorf("first line %q", line)
	}
	long := strings.Repeat("x", 3*jobs.LogBuffer)
	for _, line := range []string{"a", "", " b 2025-01-15T10:30:00Z", long} {
		pod.write(line) // Each is passed on without another behind it.
		if got := log.line(); got != line {
			t.Errorf("line %.80q, want %.80q", got, line)
		}
	}
	pod.write("the end")
	pod.terminate()
	if line := log.line(); line != "the end" {
		t.Errorf("last line %q", line)
	}
	log.wantEnd()
	eventually(t, "the node's stream is closed", func() bool { return f.node.count() == 0 })
}

func TestFollowedLogSurvivesTheEndOfANodesStream(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	id, pod := f.running(t, "team", "a-job")
	log := f.open(key, "/api/v1/jobs/"+id+"/logs?follow=true&tail=100")
	n := 0
	for range 5 {
		at := time.Now()
		pod.change(func() {
			for i := range 3 { // All of one moment, one of them behind the cut.
				pod.lines = append(pod.lines, logLine{at, fmt.Sprintf("line %d\n", n+i)})
			}
		})
		for range 3 {
			if line := log.line(); line != fmt.Sprint("line ", n) {
				t.Fatalf("line %q, want line %d", line, n)
			}
			n++
		}
		before := f.node.openings()
		pod.cut()
		eventually(t, "the log is opened again", func() bool { return f.node.openings() > before })
		pod.change(func() { pod.lines = append(pod.lines, logLine{at, fmt.Sprintf("line %d\n", n)}) })
		if line := log.line(); line != fmt.Sprint("line ", n) {
			t.Fatalf("after the cut: line %q, want line %d", line, n)
		}
		n++
	}
	pod.terminate()
	log.wantEnd()
}

func TestJobsWithoutALog(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	logs := func(id string) string { return "/api/v1/jobs/" + id + "/logs" }
	ended := func(job *v1alpha1.SpiderJob) {
		job.Status.Phase, job.Status.FinishedAt = v1alpha1.PhaseFinished, new(metav1.Now())
	}

	f.get(key, logs(f.apply("team", "pending"))).wantProblem(http.StatusConflict, "not_started")
	neverRan := f.apply("team", "never-ran", ended)
	ran, pod := f.running(t, "team", "ran", ended)
	pod.write("a")
	f.get(key, logs(ran)).want(http.StatusOK)
	pod.delete()
	strange, _ := f.running(t, "team", "strange", ended)
	f.node.run("team", "strange-pod", "uid-of-an-earlier-job-of-that-name").write("secret")
	removed, pod := f.running(t, "team", "removed", ended)
	pod.terminate()
	pod.change(func() { pod.lines = []logLine{{text: "unable to retrieve container logs for containerd://123"}} })
	for name, id := range map[string]string{"never ran": neverRan, "ran": ran, "strange": strange, "removed": removed} {
		for _, query := range []string{"", "?follow=true"} {
			t.Run(name+query, func(*testing.T) { f.get(key, logs(id)+query).wantProblem(http.StatusGone, "log_gone") })
		}
	}

	between, pod := f.running(t, "team", "between")
	pod.delete() // The next attempt's Pod is not there yet.
	f.get(key, logs(between)).wantProblem(http.StatusConflict, "not_started")

	unreachable, pod := f.running(t, "team", "unreachable")
	for _, failing := range []string{"get", "log"} {
		f.node.failing(func(call string) error {
			if call == failing {
				return errors.New("connection refused")
			}
			return nil
		})
		f.get(key, logs(unreachable)).wantProblem(http.StatusServiceUnavailable, "unavailable")
		if failing == "get" { // A follower is answered before its log is opened, and that is tried again.
			f.get(key, logs(unreachable)+"?follow=true").wantProblem(http.StatusServiceUnavailable, "unavailable")
		}
	}
	f.node.failing(nil)
	pod.write(strings.Repeat("x", 4*jobs.LogBuffer))
	pod.broken = errors.New("connection reset")
	broken := f.open(key, logs(unreachable))
	if rest, err := io.ReadAll(broken.lines); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a log that broke off in the middle is answered %d %q, %v, and looks complete", broken.status, rest, err)
	}
}

func TestFollowerWaitsForTheStart(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	key := f.key("team", "")
	follow := func(id string) *opened {
		f.t.Helper()
		log := f.open(key, "/api/v1/jobs/"+id+"/logs?follow=true")
		if log.status != http.StatusOK {
			t.Fatalf("answer %d", log.status)
		}
		return log
	}
	start := func(name string) *podInMemory {
		pod := f.node.run("team", name+"-pod", "")
		f.cluster.update(t, "team", name, func(job *v1alpha1.SpiderJob) {
			job.Status.Phase, job.Status.StartedAt, job.Status.Attempts, job.Status.PodName = v1alpha1.PhaseRunning, new(
				metav1.Now(),
			), 1, name+"-pod"
		})
		return pod
	}
	t.Run("and follows", func(*testing.T) {
		log := follow(f.apply("team", "slow"))
		pod := start("slow")
		pod.write("hello")
		if line := log.line(); line != "hello" {
			t.Errorf("first line %q", line)
		}
		pod.terminate()
		log.wantEnd()
	})
	t.Run("until the job ends without ever running", func(*testing.T) {
		log := follow(f.apply("team", "cancelled"))
		f.cluster.update(t, "team", "cancelled", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseCancelled })
		log.wantEnd()
	})
	t.Run("until the job is deleted", func(*testing.T) {
		log := follow(f.apply("team", "deleted"))
		f.cluster.delete("team", "deleted")
		log.wantEnd()
	})
	t.Run("while Kubernetes cannot be reached", func(t *testing.T) {
		f.node.failing(func(string) error { return errors.New("connection refused") })
		log := follow(f.apply("team", "restarted"))
		pod := start("restarted")
		pod.write("hello")
		time.AfterFunc(100*time.Millisecond, func() { f.node.failing(nil) })
		if line := log.line(); line != "hello" {
			t.Errorf("first line %q", line)
		}
	})
	t.Run("until the server stops", func(*testing.T) {
		log := follow(f.apply("team", "endless"))
		f.server.Stop()
		log.wantCut()
	})
}

// TestFollowersGetAHeadAtOnce has nothing to tell them.
func TestFollowersGetAHeadAtOnce(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	silent, _ := f.running(t, "team", "silent")
	for what, id := range map[string]string{"has not started": f.apply("team", "pending"), "is silent": silent} {
		log := f.open(key, "/api/v1/jobs/"+id+"/logs?follow=true") // It returns with the head.
		if log.status != http.StatusOK {
			t.Errorf("the log of a job that %s: %d", what, log.status)
		}
		log.leave()
	}
}

func TestFollowedLogEndsWithEitherSide(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	id, pod := f.running(t, "team", "a-job")
	path := "/api/v1/jobs/" + id + "/logs?follow=true"
	pod.write("hello")

	left := f.open(key, path)
	left.line()
	left.leave()
	eventually(t, "the node's stream is closed after its reader", func() bool { return f.node.count() == 0 })

	told := f.open(key, path)
	told.line()
	f.server.Stop()
	told.wantCut() // It goes on elsewhere.
	eventually(t, "the node's stream is closed when the server stops", func() bool { return f.node.count() == 0 })
}

// TestStreamsEndWithTheirKey has streams of which some are told something, and the others nothing.
func TestStreamsEndWithTheirKey(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t)
	var object *v1alpha1.APIKey
	key := f.key("team", "", func(k *v1alpha1.APIKey) { object = k })
	id, pod := f.running(t, "team", "a-job")
	told := f.open(key, "/api/v1/jobs/"+id+"/logs?follow=true")
	pod.write("hello")
	told.line()
	silentID, _ := f.running(t, "team", "silent")
	silent := f.open(key, "/api/v1/jobs/"+silentID+"/logs?follow=true")
	lines := f.open(key, "/api/v1/jobs/"+silentID+"/logs?follow=true", acceptEvents...)
	events := f.open(key, eventsPath)
	events.want("ready", "")
	compact, err := auth.FromAPIKey(object)
	if err != nil {
		t.Fatal(err)
	}
	f.keys.Delete("", compact)
	pod.write("more")
	told.wantCutSoon()
	silent.wantCut()
	lines.want("end", `"unauthorized"`)
	lines.wantEnd()
	events.want("end", `"unauthorized"`)
	events.wantEnd()
	eventually(t, "the node's streams are closed", func() bool { return f.node.count() == 0 })
}

func TestStreamsOfAKeyAreLimited(t *testing.T) {
	f := newTestAPI(t, func(c *Config) { c.Limits.StreamsPerCaller = 2 })
	key, other := f.key("team", ""), f.key("team", "")
	id, pod := f.running(t, "team", "a-job")
	pod.write("hello")
	path := "/api/v1/jobs/" + id
	log := f.open(key, path+"/logs?follow=true")
	log.line()
	second := f.open(key, path+"/logs?follow=true")
	second.line()
	for _, more := range []string{"/logs?follow=true", "/logs", "?wait=60s"} {
		a := f.get(key, path+more)
		a.wantProblem(http.StatusTooManyRequests, "too_many_streams", "2")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	f.get(key, path).want(http.StatusOK)
	f.get(other, path+"?wait=1ms").want(http.StatusOK)
	log.leave()
	eventually(t, "a stream that was left is not counted", func() bool {
		return f.get(key, path+"?wait=1ms").status == http.StatusOK
	})
}

func TestNobodyReadsAnothersLog(t *testing.T) {
	f := newTestAPI(t)
	id, pod := f.running(t, "team", "a-job", func(job *v1alpha1.SpiderJob) { job.Spec.UserID = "alice" })
	pod.write("secret")
	for _, key := range []string{f.key("team", ""), f.key("team", "bob"), f.key("other", "alice"), f.key("other", "")} {
		for _, query := range []string{"", "?follow=true"} {
			f.get(key, "/api/v1/jobs/"+id+"/logs"+query).wantProblem(http.StatusNotFound, "not_found")
		}
	}
	f.get("", "/api/v1/jobs/"+id+"/logs").wantProblem(http.StatusUnauthorized, "unauthorized")
	f.get(f.key("team", "alice"), "/api/v1/jobs/12/logs").wantProblem(http.StatusNotFound, "not_found")
	if f.node.openings() != 0 {
		t.Error("another's log was opened")
	}
	f.get(f.key("team", "alice"), "/api/v1/jobs/"+id+"/logs").want(http.StatusOK)
}
