package restapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	rest "github.com/scrapethis/spider-operator/client"
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
		options := running.RESTAPIOptions(t)
		options.Config.ShutdownDelay.Duration = time.Second
		limits := &options.Config
		limits.Rate, limits.Burst, limits.NamespaceRate, limits.FailedAuthentications, limits.MaxStreams = 1e6, 1e6, 1e6, 1, 1e6
		r := running.StartRESTAPI(t, config, options)
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
		t.Errorf("job %s was created, but no caller got its id", id)
	}
	for i, f := range followers {
		f.wantAll(l.started)
		if ends := f.ends.Load(); ends == 0 {
			t.Errorf("follower %d got no event that its server stops, though each has stopped", i)
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
	t         *testing.T
	namespace string
	api       *rest.Client

	working   sync.WaitGroup // those that start jobs and list them
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
	// A caller that keeps a connection idle for longer than a server takes to stop may see it closed.
	transport := &http.Transport{DialContext: front.dial, MaxIdleConnsPerHost: 100, IdleConnTimeout: 500 * time.Millisecond}
	api, err := rest.New("http://service", key, rest.WithHTTPClient(&http.Client{Transport: transport}), rest.WithAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	l := &load{t: t, namespace: namespace, api: api, enough: make(chan struct{}), ctx: ctx, started: map[string]bool{}}
	l.leave = sync.OnceFunc(func() {
		stop()
		l.following.Wait()
		transport.CloseIdleConnections()
	})
	t.Cleanup(l.leave)
	return l
}

// work repeats a part of the load until it is stopped, or a call fails.
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

// rest ends the work, each part after a complete round.
func (l *load) rest() {
	close(l.enough)
	l.working.Wait()
}

// untilMore returns when this many more jobs have finished.
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

// send makes a call. If it fails and may be repeated, because it changes nothing or has an Idempotency-Key, send repeats it; no
// other call may fail.
func (l *load) send(harmless bool, call func(ctx context.Context) error) error {
	const attempts = 3
	var failures []error
	for range attempts {
		failure := l.attempt(call)
		if failure == nil {
			return nil
		}
		failures = append(failures, failure)
		if !harmless {
			break
		}
		l.t.Logf("sent again: %v", failure)
		l.again.Add(1)
	}
	return errors.Join(failures...)
}

func (l *load) attempt(call func(ctx context.Context) error) error {
	l.requests.Add(1)
	connections := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connections++ }}
	err := call(httptrace.WithClientTrace(l.ctx, trace))
	if connections > 1 { // Go's client repeats by itself what it was sending on a connection that was cut off. Others do not.
		l.cut.Add(1)
	}
	return err
}

// start starts a job. Every other start has no Idempotency-Key, which the client otherwise adds itself.
func (l *load) start(round int) (string, error) {
	body := rest.StartJob{SpiderName: "books"}
	answer := &rest.StartedJob{}
	if round%2 == 1 {
		err := l.send(false, func(ctx context.Context) error { return l.api.Do(ctx, http.MethodPost, "/api/v1/jobs", body, answer) })
		return answer.JobID, err
	}
	params := rest.StartJobParams{IdempotencyKey: uuid.NewString()}
	err := l.send(true, func(ctx context.Context) (err error) {
		answer, err = l.api.StartJob(ctx, body, params)
		return err
	})
	if err != nil {
		return "", err
	}
	return answer.JobID, nil
}

// read reads a job, or waits for its end.
func (l *load) read(id string, wait time.Duration) (job *rest.Job, err error) {
	err = l.send(true, func(ctx context.Context) (err error) {
		job, err = l.api.GetJob(ctx, id, rest.GetJobParams{Wait: wait})
		return err
	})
	return job, err
}

// startAndWait starts a job, acts as its controller, and waits for its end.
func (l *load) startAndWait(round int) error {
	id, err := l.start(round)
	if err != nil {
		return err
	}
	l.mu.Lock()
	if l.started[id] {
		l.mu.Unlock()
		return fmt.Errorf("job %s is the answer to two starts", id)
	}
	l.started[id] = true
	l.mu.Unlock()
	ending := make(chan error, 1)
	go func() { ending <- l.finish(id) }()
	for {
		job, err := l.read(id, time.Minute)
		if err != nil {
			return errors.Join(err, <-ending)
		}
		if !job.FinishedAt.IsZero() { // Otherwise a server that stops has answered.
			l.finished.Add(1)
			return <-ending
		}
		if job, err := l.read(id, 0); err != nil || job.ID != id {
			return errors.Join(fmt.Errorf("job %s is read as %+v", id, job), err, <-ending)
		}
	}
}

// finish acts as the controller at a job's end, a moment after its start.
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
	time.Sleep(5 * time.Millisecond) // A steady load, less than two processors could bear.
	var page rest.Page[rest.Job]
	err := l.send(true, func(ctx context.Context) (err error) {
		page, err = l.api.ListJobs(ctx, rest.ListJobsParams{Limit: 20})
		return err
	})
	if err != nil {
		return err
	}
	if len(page.Items) == 0 {
		return errors.New("the list is empty, though there are jobs")
	}
	return nil
}

// follower follows the events of the user's jobs, from one server to the next.
type follower struct {
	load *load
	ends atomic.Int64

	mu sync.Mutex
	// statuses are those of all jobs, as far as the follower knows.
	statuses map[string]rest.JobStatus
	last     string
}

func (l *load) follow() *follower {
	l.t.Helper()
	f := &follower{load: l, statuses: map[string]rest.JobStatus{}}
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

// read reads one answer to its end, which the server has to announce. The first event calls begin.
func (f *follower) read(begin func()) error {
	stream, err := f.load.api.StreamJobEvents(f.load.ctx, rest.StreamJobEventsParams{LastEventID: f.last})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	for {
		event, err := stream.Next()
		if err != nil {
			return fmt.Errorf("the answer ends without an event that says why: %w", err)
		}
		f.last = stream.LastID()
		if event.Type == rest.EventEnd {
			f.ends.Add(1)
			return nil
		}
		begin()
		f.take(event)
	}
}

func (f *follower) take(event rest.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch event.Type {
	case rest.EventReset:
		clear(f.statuses)
	case rest.EventJob:
		f.statuses[event.JobID] = event.Job.Status
	}
}

// wantAll fails the test unless the follower has heard that these jobs, and no others, have finished.
func (f *follower) wantAll(jobs map[string]bool) {
	t := f.load.t
	t.Helper()
	controlplane.Eventually(t, fmt.Sprintf("a follower has received the end of %d jobs", len(jobs)),
		func(context.Context) (bool, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			for id := range jobs {
				if f.statuses[id] != rest.JobStatusFinished {
					return t.Failed(), nil
				}
			}
			return len(f.statuses) == len(jobs), nil
		})
}
