package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// history watches a namespace independently, and checks every state that it sees against what must always hold.
type history struct {
	t       *testing.T
	running func(spiderJob string) int // processes that run for a SpiderJob

	mu         sync.Mutex
	changed    chan struct{} // closed at the next change
	spiderJobs map[string]*v1alpha1.SpiderJob
	jobs       map[types.UID]*batchv1.Job // those that exist
	jobsMade   map[string]int             // Jobs ever made, by name
	jobGone    map[string]time.Time       // when the last Job of a name disappeared
	ended      map[string]time.Time       // when a SpiderJob's end was seen
	finals     map[string]map[int32]int64 // the items that were final for each attempt of a SpiderJob
	wrong      []string
	story      []string // what was seen, for readers
}

// watchNamespace begins a history, which ends with the test and fails it if an invariant was broken.
func watchNamespace(t *testing.T, namespace string, running func(string) int) *history {
	t.Helper()
	h := &history{
		t: t, running: running, changed: make(chan struct{}),
		spiderJobs: map[string]*v1alpha1.SpiderJob{}, jobs: map[types.UID]*batchv1.Job{}, jobsMade: map[string]int{},
		jobGone: map[string]time.Time{}, ended: map[string]time.Time{}, finals: map[string]map[int32]int64{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watches sync.WaitGroup
	for _, list := range []client.ObjectList{&v1alpha1.SpiderJobList{}, &batchv1.JobList{}} {
		w, err := cluster.Client.Watch(ctx, list, client.InNamespace(namespace))
		if err != nil {
			t.Fatalf("watch namespace %s: %v", namespace, err)
		}
		watches.Go(func() {
			for event := range w.ResultChan() {
				if ctx.Err() == nil {
					h.see(event)
				}
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		watches.Wait()
		for _, text := range h.wrong {
			t.Error(text)
		}
		if t.Failed() {
			t.Logf("what was seen:\n%s", strings.Join(h.story, "\n"))
		}
	})
	return h
}

func (h *history) see(event watch.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch object := event.Object.(type) {
	case *v1alpha1.SpiderJob:
		if event.Type == watch.Deleted {
			delete(h.spiderJobs, object.Name)
			break
		}
		if previous := h.spiderJobs[object.Name]; previous != nil && previous.UID == object.UID {
			h.checkStep(previous, object)
		}
		h.spiderJobs[object.Name] = object
		h.tell("SpiderJob %s: %s", object.Name, describe(&object.Status))
	case *batchv1.Job:
		h.seeJob(event.Type, object)
	default:
		h.complain("an unexpected event: %v", event)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// seeJob checks that no SpiderJob has two Jobs at a time.
func (h *history) seeJob(kind watch.EventType, job *batchv1.Job) {
	h.tell("Job %s %s: %s", job.Name, kind, describeJob(job))
	if kind == watch.Deleted {
		delete(h.jobs, job.UID)
		h.jobGone[job.Name] = time.Now()
		return
	}
	if h.jobs[job.UID] == nil {
		h.jobsMade[job.Name]++
		for _, other := range h.jobs {
			if owner := job.Labels[v1alpha1.LabelSpiderJob]; owner != "" && other.Labels[v1alpha1.LabelSpiderJob] == owner {
				h.complain("SpiderJob %s has two Jobs at a time", owner)
			}
		}
	}
	h.jobs[job.UID] = job
}

// checkStep checks that one state of a SpiderJob may follow another.
func (h *history) checkStep(from, to *v1alpha1.SpiderJob) {
	a, b := &from.Status, &to.Status
	ended := b.Phase.Terminal()
	if ended && !a.Phase.Terminal() {
		h.ended[to.Name] = time.Now()
	}
	switch {
	case a.Phase.Terminal() && !equality.Semantic.DeepEqual(a, b):
		h.complain("the status of SpiderJob %s changed after its end, from %s to %s", to.Name, describe(a), describe(b))
	case a.Phase == v1alpha1.PhaseRunning && b.Phase == v1alpha1.PhasePending && b.Reason != v1alpha1.ReasonQueued:
		h.complain("SpiderJob %s went back from %s to %s", to.Name, describe(a), describe(b))
	case ended != (b.FinishedAt != nil):
		h.complain("SpiderJob %s has finishedAt %v in %s", to.Name, b.FinishedAt, describe(b))
	case ended && !a.Phase.Terminal() && h.running(to.Name) > 0:
		h.complain("SpiderJob %s ended as %s while its process ran", to.Name, describe(b))
	case b.Attempts < a.Attempts || b.Interruptions < a.Interruptions:
		h.complain("SpiderJob %s lost count of its attempts, from %s to %s", to.Name, describe(a), describe(b))
	case a.StartedAt != nil && !a.StartedAt.Equal(b.StartedAt):
		h.complain("SpiderJob %s started at %v, then at %v", to.Name, a.StartedAt, b.StartedAt)
	}
	if b.Stats != nil && b.Stats.Final {
		if h.finals[to.Name] == nil {
			h.finals[to.Name] = map[int32]int64{}
		}
		h.finals[to.Name][b.Stats.Attempt] = b.Stats.ItemsScraped
	}
	if a.Stats != nil && b.Stats != nil && a.Stats.Attempt == b.Stats.Attempt &&
		(b.Stats.ItemsScraped < a.Stats.ItemsScraped || a.Stats.Final && !b.Stats.Final) {
		h.complain("the counts of SpiderJob %s went down, from %s to %s", to.Name, describe(a), describe(b))
	}
}

func (h *history) complain(format string, args ...any) {
	h.wrong = append(h.wrong, fmt.Sprintf(format, args...))
}

func (h *history) tell(format string, args ...any) {
	h.story = append(h.story, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// look calls f with the history locked, and returns a channel that is closed at the next change.
func (h *history) look(f func()) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	return h.changed
}

func describe(s *v1alpha1.SpiderJobStatus) string {
	text := fmt.Sprintf("%s/%s %q (attempts %d, interruptions %d", s.Phase, s.Reason, s.Message, s.Attempts, s.Interruptions)
	if s.Stats != nil {
		text += fmt.Sprintf(", %d items from %s, final %t, of attempt %d",
			s.Stats.ItemsScraped, s.Stats.Source, s.Stats.Final, s.Stats.Attempt)
	}
	if s.Stop != nil {
		text += fmt.Sprintf(", stop for %s, retry %t", s.Stop.Reason, s.Stop.Retry)
	}
	return text + ")"
}

func describeJob(job *batchv1.Job) string {
	text := fmt.Sprintf("active %d, succeeded %d, failed %d", job.Status.Active, job.Status.Succeeded, job.Status.Failed)
	if ptr.Deref(job.Spec.Suspend, false) {
		text += ", suspended"
	}
	if job.DeletionTimestamp != nil {
		text += ", being deleted"
	}
	for _, c := range job.Status.Conditions {
		text += fmt.Sprintf(", %s=%s %s", c.Type, c.Status, c.Reason)
	}
	return text
}
