package facade

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/guard"
	"github.com/scrapethis/spider-operator/test/integration/controlplane"
	"github.com/scrapethis/spider-operator/test/integration/running"
)

// TestRollingRestartUnderLoad replaces two replicas, one after the other, while callers start jobs, wait for them, list them and
// follow their events.
func TestRollingRestartUnderLoad(t *testing.T) {
	namespace := cluster.Namespace(t)
	newSpider(t, namespace, "books")
	key, _ := newKey(t, namespace, "alice")
	config := cluster.User(t, roleUser(t))
	front := &service{}
	begin := func() *running.Replica {
		options := running.FacadeOptions(t)
		options.ShutdownDelay = time.Second
		options.Limits = guard.Limits{RequestsPerSecond: 1e6, Burst: 1e6, FailuresPerMinute: 1, StreamsPerCaller: 1e6}
		r := running.StartFacade(t, config, options)
		front.follow(t, r)
		return r
	}
	replicas := []*running.Replica{begin(), begin()}

	l := newLoad(t, namespace, key, front)
	var followers []*follower
	for range 4 {
		followers = append(followers, l.follow())
	}
	for range 3 {
		l.work(l.startAndWait)
	}
	l.untilMore(20)
	for range 3 {
		l.work(l.list)
	}
	for i, old := range replicas {
		l.untilMore(20)
		replicas[i] = begin()
		l.untilMore(20)
		old.Stop()
	}
	l.untilMore(20)
	l.rest()

	jobs := &v1alpha1.SpiderJobList{}
	if err := cluster.Client.List(t.Context(), jobs, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for i := range jobs.Items {
		made[jobs.Items[i].Name] = true
	}
	for id := range l.started {
		if !made[id] {
			t.Errorf("job %s is lost", id)
		}
		delete(made, id)
	}
	for id := range made {
		t.Errorf("job %s was made, and nobody was told", id)
	}
	for i, f := range followers {
		f.wantAll(l.started)
		if ends := f.ends.Load(); ends == 0 {
			t.Errorf("follower %d was not told that its server stops, though each has stopped", i)
		}
	}
	l.leave()
	if n := l.cut.Load(); n > 0 {
		t.Errorf("%d requests were on connections that a server has cut off", n)
	}
	t.Logf("%d requests, of which %d were sent again; %d jobs", l.requests.Load(), l.again.Load(), len(l.started))
}

// load is callers of one user.
type load struct {
	t              *testing.T
	namespace, key string
	client         *http.Client

	working   sync.WaitGroup // those who start jobs and list them
	following sync.WaitGroup
	enough    chan struct{}
	leave     func() // ends the followers
	ctx       context.Context
	requests  atomic.Int64
	again     atomic.Int64
	cut       atomic.Int64
	finished  atomic.Int64

	mu      sync.Mutex
	started map[string]bool
}

func newLoad(t *testing.T, namespace, key string, front *service) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	// Whoever keeps a connection idle for longer than a server takes to leave may see it cut off.
	transport := &http.Transport{DialContext: front.dial, MaxIdleConnsPerHost: 100, IdleConnTimeout: 500 * time.Millisecond}
	l := &load{
		t: t, namespace: namespace, key: key, client: &http.Client{Transport: transport, Timeout: time.Minute},
		enough: make(chan struct{}), ctx: ctx, started: map[string]bool{},
	}
	l.leave = sync.OnceFunc(func() {
		stop()
		l.following.Wait()
		transport.CloseIdleConnections()
	})
	t.Cleanup(l.leave)
	return l
}

// work repeats a part of the load until there is enough, or one of it fails.
func (l *load) work(part func(round int) error) {
	l.working.Go(func() {
		for round := 0; !l.t.Failed(); round++ {
			select {
			case <-l.enough:
				return
			default:
			}
			if err := part(round); err != nil {
				l.t.Error(err)
			}
		}
	})
}

// rest ends the work, each part with a whole round.
func (l *load) rest() {
	close(l.enough)
	l.working.Wait()
}

// untilMore returns when so many jobs have finished since.
func (l *load) untilMore(jobs int64) {
	l.t.Helper()
	enough := l.finished.Load() + jobs
	controlplane.Eventually(l.t, fmt.Sprintf("%d more jobs finish", jobs), func(context.Context) (bool, error) {
		return l.t.Failed() || l.finished.Load() >= enough, nil
	})
	if l.t.Failed() {
		l.rest()
		l.t.FailNow()
	}
}

// send makes a request. One that may be sent again, as it changes nothing or has an Idempotency-Key, is when it fails; any other
// must not fail.
func (l *load) send(method, path, body, idempotencyKey string, into any) error {
	const attempts = 3
	var failures []error
	for range attempts {
		failure := l.attempt(method, path, body, idempotencyKey, into)
		if failure == nil {
			return nil
		}
		failures = append(failures, fmt.Errorf("%s %s: %w", method, path, failure))
		if method != http.MethodGet && idempotencyKey == "" {
			break
		}
		l.t.Logf("sent again: %v", failure)
		l.again.Add(1)
	}
	return errors.Join(failures...)
}

func (l *load) attempt(method, path, body, idempotencyKey string, into any) error {
	l.requests.Add(1)
	connections := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections++ }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(l.ctx, trace), method, "http://service"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+l.key)
	if idempotencyKey != "" {
		request.Header.Set("Idempotency-Key", idempotencyKey)
	}
	response, err := l.client.Do(request)
	if connections > 1 { // Go's client sends again by itself what was on its way to a connection that is cut off. Others do not.
		l.cut.Add(1)
	}
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answer %d %s", response.StatusCode, text)
	}
	return json.Unmarshal(text, into)
}

// startAndWait starts a job, plays its controller, and waits for its end. Every other start has no Idempotency-Key.
func (l *load) startAndWait(round int) error {
	var idempotencyKey string
	if round%2 == 0 {
		idempotencyKey = uuid.NewString()
	}
	var answer struct {
		JobID string `json:"jobId"`
	}
	if err := l.send(http.MethodPost, "/api/v1/jobs", started, idempotencyKey, &answer); err != nil {
		return err
	}
	l.mu.Lock()
	if l.started[answer.JobID] {
		l.mu.Unlock()
		return fmt.Errorf("job %s is the answer to two starts", answer.JobID)
	}
	l.started[answer.JobID] = true
	l.mu.Unlock()
	ending := make(chan error, 1)
	go func() { ending <- l.finish(answer.JobID) }()
	path := "/api/v1/jobs/" + answer.JobID
	for {
		var job struct {
			ID         string     `json:"id"`
			Status     string     `json:"status"`
			FinishedAt *time.Time `json:"finished_at"`
		}
		if err := l.send(http.MethodGet, path+"?wait=60s", "", "", &job); err != nil {
			return errors.Join(err, <-ending)
		}
		if job.FinishedAt != nil { // Else a server that stops has answered.
			l.finished.Add(1)
			return <-ending
		}
		if err := l.send(http.MethodGet, path, "", "", &job); err != nil || job.ID != answer.JobID {
			return errors.Join(fmt.Errorf("job %s is read as %+v", answer.JobID, job), err, <-ending)
		}
	}
}

// finish plays the controller at a job's end, a moment after its start.
func (l *load) finish(name string) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		job := &v1alpha1.SpiderJob{}
		if err := cluster.Client.Get(l.ctx, client.ObjectKey{Namespace: l.namespace, Name: name}, job); err != nil {
			return err
		}
		job.Status.Phase, job.Status.FinishedAt = v1alpha1.PhaseFinished, new(metav1.Now())
		return cluster.Client.Status().Update(l.ctx, job)
	})
}

func (l *load) list(int) error {
	time.Sleep(5 * time.Millisecond) // Steady, and not all that two processors bear.
	var jobs []struct {
		ID string `json:"id"`
	}
	if err := l.send(http.MethodGet, "/api/v1/jobs?limit=20", "", "", &jobs); err != nil {
		return err
	}
	if len(jobs) == 0 {
		return errors.New("the list is empty, though there are jobs")
	}
	return nil
}

// follower follows the events of the user's jobs, from one server to the next.
type follower struct {
	load *load
	ends atomic.Int64

	mu sync.Mutex
	// statuses are those of all jobs, as far as the follower was told.
	statuses map[string]string
	last     string
}

func (l *load) follow() *follower {
	l.t.Helper()
	f := &follower{load: l, statuses: map[string]string{}}
	begun := make(chan struct{})
	l.following.Go(func() {
		begin := sync.OnceFunc(func() { close(begun) })
		defer begin()
		for l.ctx.Err() == nil && !l.t.Failed() {
			if err := f.read(begin); err != nil && l.ctx.Err() == nil {
				l.t.Errorf("events: %v", err)
			}
		}
	})
	<-begun
	return f
}

// read reads one answer to its end, which the server has to tell. The first event calls begin.
func (f *follower) read(begin func()) error {
	request, err := http.NewRequestWithContext(f.load.ctx, http.MethodGet, "http://service/api/v1/jobs/events", http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+f.load.key)
	if f.last != "" {
		request.Header.Set("Last-Event-ID", f.last)
	}
	response, err := f.load.client.Transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answer %s", response.Status)
	}
	var event, data string
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			f.last = value
		case "event":
			event = value
		case "data":
			data = value
		case "":
			if event == "end" {
				f.ends.Add(1)
				return nil
			}
			begin()
			if err := f.take(event, data); err != nil {
				return err
			}
		}
	}
	return errors.New("the answer ends, and it was not told")
}

func (f *follower) take(event, data string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch event {
	case "reset":
		clear(f.statuses)
	case "job":
		var job struct{ ID, Status string }
		if err := json.Unmarshal([]byte(data), &job); err != nil {
			return err
		}
		f.statuses[job.ID] = job.Status
	}
	return nil
}

// wantAll fails the test unless the follower is told that these jobs, and no others, have finished.
func (f *follower) wantAll(jobs map[string]bool) {
	t := f.load.t
	t.Helper()
	controlplane.Eventually(t, fmt.Sprintf("a follower has been told of the end of %d jobs", len(jobs)), func(context.Context) (bool, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for id := range jobs {
			if f.statuses[id] != "finished" {
				return t.Failed(), nil
			}
		}
		return len(f.statuses) == len(jobs), nil
	})
}
