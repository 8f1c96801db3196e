package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

const (
	// callingUser calls, and has four of five jobs.
	callingUser = "alice"
	// leastJobs is the size from which on every filter finds a full page.
	leastJobs = 1000
)

// spiders are those that jobs run, in turns.
var spiders = []string{"books", "quotes"}

// tag is on half of the jobs.
const tag = "nightly"

// population is a namespace full of SpiderJobs.
type population struct {
	size      int
	namespace string
	// key is the caller's API key.
	key string
	// spiderID is the id of the first of the spiders.
	spiderID string
	// ids and created are of the caller's jobs, the latter in ascending order.
	ids     []string
	created []time.Time
}

// populate makes a namespace with its spiders, an API key and jobs, oldest first.
func (b *bench) populate(ctx context.Context, size int) (*population, error) {
	key := auth.NewKey()
	p := &population{size: size, namespace: fmt.Sprintf("view-%d", size), key: key.Reveal()}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.namespace}},
		&v1alpha1.APIKey{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "load"},
			Spec:       v1alpha1.APIKeySpec{KeyID: key.ID, Hash: key.Hash(p.namespace), UserID: callingUser},
		},
	}
	for _, name := range slices.Backward(spiders) {
		spider := &v1alpha1.Spider{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: name},
			Spec:       v1alpha1.SpiderSpec{RepoPath: "spiders/" + name + ".py"},
		}
		p.spiderID = spider.ID()
		objects = append(objects, spider)
	}
	if err := b.Create(ctx, objects...); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	err := system.Each(ctx, "making SpiderJobs", size, func(ctx context.Context, i int) error {
		job := nthJob(p.namespace, i)
		if err := b.Put(ctx, job); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if job.Spec.UserID == callingUser {
			p.ids, p.created = append(p.ids, job.Name), append(p.created, job.CreationTimestamp.Time)
		}
		return nil
	})
	slices.SortFunc(p.created, time.Time.Compare)
	return p, err
}

// phases are those of twenty jobs in a row: two of five have finished, the rest is spread evenly. They are mixed, so that every
// page shows about the same.
var phases = []v1alpha1.Phase{
	v1alpha1.PhaseFinished, v1alpha1.PhaseError, v1alpha1.PhaseFinished, v1alpha1.PhaseCancelled,
	v1alpha1.PhaseFinished, v1alpha1.PhaseRunning, v1alpha1.PhaseFinished, v1alpha1.PhasePending,
	v1alpha1.PhaseFinished, v1alpha1.PhaseError, v1alpha1.PhaseFinished, v1alpha1.PhaseCancelled,
	v1alpha1.PhaseFinished, v1alpha1.PhaseRunning, v1alpha1.PhaseFinished, v1alpha1.PhasePending,
	v1alpha1.PhaseError, v1alpha1.PhaseCancelled, v1alpha1.PhaseRunning, v1alpha1.PhasePending,
}

// nthJob makes the nth job of a population, with its status.
func nthJob(namespace string, n int) *v1alpha1.SpiderJob {
	user := callingUser
	if n/40%5 == 4 {
		user = "user-" + strconv.Itoa(n/200%4)
	}
	spider := spiders[n/20%2]
	job := newJob(namespace, spider, user)
	job.Status = nthStatus(phases[n%20], spider, n)
	if n/20%4 < 2 {
		job.AddTags(tag)
	}
	if n/20%4 == 1 || n/20%4 == 2 {
		job.Labels[v1alpha1.LabelOrigin] = v1alpha1.OriginSchedule
	}
	if job.Status.Phase == v1alpha1.PhaseCancelled {
		job.Spec.Cancellation = &v1alpha1.Cancellation{RequestedBy: user, RequestedAt: new(metav1.Now())}
	}
	return job
}

// newJob makes a SpiderJob as the REST API does.
func newJob(namespace, spider, user string) *v1alpha1.SpiderJob {
	return &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: uuid.Must(uuid.NewV7()).String(),
			Labels: map[string]string{v1alpha1.LabelOrigin: v1alpha1.OriginAPI},
		},
		Spec: v1alpha1.SpiderJobSpec{
			SpiderRef: v1alpha1.SpiderReference{Name: spider},
			Arguments: system.Arguments(),
			UserID:    user,
		},
	}
}

// nthStatus is a status as the controller writes it, in a phase.
func nthStatus(phase v1alpha1.Phase, spider string, n int) v1alpha1.SpiderJobStatus {
	status := v1alpha1.SpiderJobStatus{Phase: phase, ObservedGeneration: 1}
	if phase == v1alpha1.PhasePending {
		return status
	}
	now := metav1.Now()
	status.StartedAt, status.Attempts, status.JobUID = &now, 1, uuid.NewString()
	status.PodName = "spider-" + status.JobUID[:8]
	status.Spider = &v1alpha1.SpiderSnapshot{
		Name: spider, RepoPath: "spiders/" + spider + ".py",
		Image: "spiders:load", ImageID: "spiders@sha256:" + strings.Repeat("0", 64),
	}
	status.Stats = &v1alpha1.Stats{
		ItemsScraped: 1000 + int64(n%1000), Responses: new(int64(120)), Requests: new(int64(120)), Errors: new(int64(0)),
		Source: v1alpha1.OriginScrapyStats, Attempt: 1, ObservedAt: &now,
	}
	if !phase.Terminal() {
		status.Reason, status.Message = "Running", "The spider runs."
		return status
	}
	status.FinishedAt, status.ExitCode, status.Duration = &now, new(int32(0)), "5m0s"
	status.Stats.Final, status.Stats.FinishReason = true, "finished"
	status.Reason = string(phase)
	status.Message = fmt.Sprintf("The spider ended with %d items.", status.Stats.ItemsScraped)
	succeeded := metav1.ConditionFalse
	if phase == v1alpha1.PhaseFinished {
		succeeded = metav1.ConditionTrue
	}
	status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionSucceeded, Status: succeeded, Reason: status.Reason, Message: status.Message, LastTransitionTime: now,
	}}
	return status
}
