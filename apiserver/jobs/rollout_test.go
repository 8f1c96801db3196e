package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// store is a Kubernetes of SpiderJobs, whose watch shows each change to all replicas at once.
type store struct {
	revision int
	jobs     map[string]*v1alpha1.SpiderJob
	replicas []*view.Jobs
}

func (s *store) write(t *testing.T, user, name string, phase v1alpha1.Phase) {
	t.Helper()
	s.revision++
	job := s.jobs[name]
	if job == nil {
		job = &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, CreationTimestamp: metav1.Now()}}
	}
	job = job.DeepCopy()
	job.ResourceVersion, job.Spec.UserID, job.Status.Phase = strconv.Itoa(s.revision), user, phase
	s.jobs[name] = job
	for _, replica := range s.replicas {
		replica.Set("", compact(t, job))
	}
}

func (s *store) remove(t *testing.T, name string) {
	t.Helper()
	s.revision++
	last := s.jobs[name].DeepCopy()
	last.ResourceVersion = strconv.Itoa(s.revision)
	delete(s.jobs, name)
	for _, replica := range s.replicas {
		replica.Delete("", compact(t, last))
	}
}

// replace starts a replica in the place of another.
func (s *store) replace(t *testing.T, i int) {
	t.Helper()
	list := make([]*view.Job, 0, len(s.jobs))
	for _, job := range s.jobs {
		list = append(list, compact(t, job))
	}
	s.replicas[i] = view.NewJobs(view.NewSpiders())
	s.replicas[i].Replace("", list, strconv.Itoa(s.revision))
}

func compact(t *testing.T, job *v1alpha1.SpiderJob) *view.Job {
	t.Helper()
	j, err := view.FromSpiderJob(job)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// reader follows the events of a user, and comes back to another replica when it is cut off.
type reader struct {
	userID string
	mu     sync.Mutex
	// position is the last one that was told, and knows what the reader knows of its jobs.
	position string
	knows    map[string]string
	resets   int
}

var errCut = errors.New("cut off")

func (r *reader) told(position string, change func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if position != "" {
		r.position = position
	}
	change()
	return nil
}

func (r *reader) Ready(position string) error { return r.told(position, func() {}) }
func (r *reader) Alive(position string) error { return r.told(position, func() {}) }
func (r *reader) Flush() error                { return nil }
func (r *reader) Reset(string) error {
	return r.told("reset", func() { r.resets, r.knows = r.resets+1, map[string]string{} })
}

func (r *reader) Show(job *view.Job) error {
	return r.told("", func() { r.knows[job.ID.String()] = job.Status.String() })
}

func (r *reader) Change(entry *view.Entry) error {
	return r.told(entry.Position, func() {
		if entry.Deleted {
			delete(r.knows, entry.Job.ID.String())
		} else {
			r.knows[entry.Job.ID.String()] = entry.Job.Status.String()
		}
	})
}

// TestRolloutSendsNoSnapshots replaces both replicas, one after the other, under 200 readers of events, while one user's jobs
// come and go by thousands. All readers are told what has happened to their jobs, and none is told to begin anew.
func TestRolloutSendsNoSnapshots(t *testing.T) {
	const readers, jobsEach, noise = 200, 20, 10_000
	synctest.Test(t, func(t *testing.T) {
		kubernetes := &store{revision: 10, jobs: map[string]*v1alpha1.SpiderJob{}, replicas: make([]*view.Jobs, 2)}
		for i := range kubernetes.replicas {
			kubernetes.replace(t, i)
		}
		jobName := func(reader, job int) string { return fmt.Sprintf("job-%d-of-%d", job, reader) }
		all := make([]*reader, readers)
		for i := range all {
			all[i] = &reader{userID: fmt.Sprint("user-", i), knows: map[string]string{}}
			for j := range jobsEach {
				kubernetes.write(t, all[i].userID, jobName(i, j), v1alpha1.PhaseRunning)
				time.Sleep(time.Second / 10)
			}
		}
		makeNoise := func(n int) {
			for i := range n {
				kubernetes.write(t, "noisy", fmt.Sprint("noise-", i), v1alpha1.PhaseRunning)
				kubernetes.remove(t, fmt.Sprint("noise-", i))
			}
		}
		var serving sync.WaitGroup
		connect := func(i, replica int) (leave context.CancelCauseFunc) {
			ctx, cancel := context.WithCancelCause(t.Context())
			service := New(Config{View: kubernetes.replicas[replica]})
			r := all[i]
			serving.Go(func() {
				r.mu.Lock()
				after := r.position
				r.mu.Unlock()
				_ = service.Listen(ctx, auth.Identity{Namespace: "team", User: r.userID, UserID: r.userID}, after, r)
			})
			return cancel
		}
		connections, at := make([]context.CancelCauseFunc, readers), make([]int, readers)
		for i := range all {
			at[i] = i % 2
			connections[i] = connect(i, at[i])
		}
		time.Sleep(time.Minute)
		for _, r := range all { // What was there before is not told; a reader would have listed it.
			for _, job := range kubernetes.jobs {
				if job.Spec.UserID == r.userID {
					r.knows[job.ID()] = "running"
				}
			}
		}
		for replaced := range kubernetes.replicas {
			var cut []int
			for i := range all { // The old one ends its streams.
				if at[i] == replaced {
					cut = append(cut, i)
					connections[i](errCut)
				}
			}
			synctest.Wait()
			makeNoise(noise / 2)
			for i := 0; i < readers; i += 3 { // Some jobs change, end, begin or go meanwhile.
				kubernetes.write(t, all[i].userID, jobName(i, replaced), v1alpha1.PhaseFinished)
				kubernetes.write(t, all[i].userID, jobName(i, jobsEach+replaced), v1alpha1.PhaseRunning)
			}
			kubernetes.replace(t, replaced)
			for i := 0; i < readers; i += 5 {
				kubernetes.remove(t, jobName(i, 5+replaced))
			}
			time.Sleep(time.Second)
			for n, i := range cut { // Half of them come back to the new one, and half to the other.
				at[i] = n % 2
				connections[i] = connect(i, at[i])
			}
			makeNoise(noise / 2)
			time.Sleep(time.Minute)
		}
		resets, wrong := 0, 0
		for i, r := range all {
			connections[i](errCut)
			resets += r.resets
			for _, job := range kubernetes.jobs {
				if job.Spec.UserID == r.userID && r.knows[job.ID()] != compact(t, job).Status.String() {
					wrong++
				}
			}
			if want := jobsEach + 2*btoi(i%3 == 0) - 2*btoi(i%5 == 0); len(r.knows) != want {
				wrong++
			}
		}
		serving.Wait()
		t.Logf("%d readers of %d jobs each, %d changes of another user: %d snapshots", readers, jobsEach, 4*noise, resets)
		if resets > 0 || wrong > 0 {
			t.Errorf("%d snapshots were sent, and %d jobs are known wrongly", resets, wrong)
		}
	})
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
