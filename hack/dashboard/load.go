package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	rest "github.com/scrapethis/spider-operator/client"
)

// load keeps the operator busy for some time, with what platforms see: spiders that finish, fail in several ways, are cancelled,
// evicted or wait; callers who start, read, wait and listen, and one who has a wrong key, and one who asks too much.
func (s *system) load(ctx context.Context, duration time.Duration) error {
	callers, err := s.prepare(ctx)
	if err != nil {
		return err
	}
	work, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	group, work := errgroup.WithContext(work)
	every := func(pause time.Duration, do func(context.Context) error) {
		group.Go(func() error { return repeat(work, pause, do) })
	}
	api := callers.honest
	every(800*time.Millisecond, func(ctx context.Context) error { return api.start(ctx, pick(mix)) })
	every(250*time.Millisecond, api.list)
	every(100*time.Millisecond, api.readOne)
	every(2*time.Second, api.listSpiders)
	every(time.Second, func(ctx context.Context) error { return api.waitForOne(ctx, 5*time.Second) })
	every(5*time.Second, api.cancelOne)
	every(4*time.Second, func(ctx context.Context) error {
		return api.read(ctx, "01939a2b-7c4d-7e8f-9a0b-1c2d3e4f5a6b", 0)
	})
	every(4*time.Second, callers.stranger.list)
	every(30*time.Second, func(ctx context.Context) error { return callers.hasty.burst(ctx, 150) })
	every(4*time.Second, func(ctx context.Context) error { return s.create(ctx, news, "headline", nil) })
	every(20*time.Second, func(ctx context.Context) error { return s.create(ctx, lab, "new", nil) })
	every(15*time.Second, func(ctx context.Context) error { return s.create(ctx, shop, "no-such-spider", nil) })
	every(40*time.Second, func(ctx context.Context) error {
		return s.create(ctx, shop, "books", map[string]v1alpha1.SettingValue{"FEEDS": "{}"})
	})
	every(20*time.Second, s.queueOne)
	every(15*time.Second, s.evictOne)
	every(time.Second, s.failToPull)
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// repeat does something again and again until the context ends.
func repeat(ctx context.Context, pause time.Duration, do func(context.Context) error) error {
	for ctx.Err() == nil {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // an example
		case <-ctx.Done():
		}
	}
	return nil
}

// mix is how often each Spider is started.
var mix = map[string]int{"books": 10, "quick": 12, "banned": 2, "endless": 1, "broken": 2, "greedy": 1}

// pick picks a name by its weight.
func pick(weights map[string]int) string {
	total := 0
	for _, weight := range weights {
		total += weight
	}
	n := rand.IntN(total) //nolint:gosec // an example
	for name, weight := range weights {
		if n -= weight; n < 0 {
			return name
		}
	}
	panic("weights add up to less than their sum")
}

// callers are who call the REST API.
type callers struct{ honest, hasty, stranger *caller }

// prepare makes namespaces, Spiders, keys and a quota.
func (s *system) prepare(ctx context.Context) (callers, error) {
	var objects []client.Object
	for _, namespace := range []string{shop, news, lab} {
		objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	}
	few := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(quotaPods, resource.DecimalSI)}
	objects = append(objects, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: news, Name: "pods"}, Spec: corev1.ResourceQuotaSpec{Hard: few},
	})
	for _, spider := range spiders() {
		objects = append(objects, spider)
	}
	var c callers
	for name, who := range map[string]**caller{"platform": &c.honest, "hasty": &c.hasty, "": &c.stranger} {
		key := auth.NewKey()
		caller, err := newCaller(s.facades, key.Reveal())
		if err != nil {
			return callers{}, err
		}
		*who = caller
		if name != "" {
			objects = append(objects, &v1alpha1.APIKey{
				ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name},
				Spec:       v1alpha1.APIKeySpec{KeyID: key.ID, Hash: key.Hash(shop)},
			})
		}
	}
	for _, object := range objects {
		if err := s.Client.Create(ctx, object); err != nil {
			return callers{}, fmt.Errorf("create %T %s: %w", object, object.GetName(), err)
		}
	}
	s.node.Serve(shop, program)
	s.node.Serve(news, program)
	return c, c.honest.awaitKey(ctx)
}

// create makes a SpiderJob as kubectl does.
func (s *system) create(ctx context.Context, namespace, spider string, settings map[string]v1alpha1.SettingValue) error {
	sj := &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: spider + "-"}}
	sj.Spec.SpiderRef.Name = spider
	sj.Spec.Settings = settings
	if err := s.Client.Create(ctx, sj); err != nil {
		return fmt.Errorf("create a SpiderJob: %w", err)
	}
	return nil
}

// queueOne runs the Spider nightly as a queue would: its Job is suspended for a while.
func (s *system) queueOne(ctx context.Context) error {
	sj := &v1alpha1.SpiderJob{ObjectMeta: metav1.ObjectMeta{Namespace: shop, GenerateName: "nightly-"}}
	sj.Spec.SpiderRef.Name = "nightly"
	if err := s.Client.Create(ctx, sj); err != nil {
		return fmt.Errorf("create a SpiderJob: %w", err)
	}
	if err := s.suspend(ctx, sj.Name, true); err != nil {
		return err
	}
	select {
	case <-time.After(between(20, 40)):
	case <-ctx.Done():
		return nil
	}
	return s.suspend(ctx, sj.Name, false)
}

// suspend suspends a Job as soon as it is there, or resumes it.
func (s *system) suspend(ctx context.Context, name string, yes bool) error {
	for {
		job := &batchv1.Job{}
		err := s.Client.Get(ctx, client.ObjectKey{Namespace: shop, Name: name}, job)
		if err == nil {
			job.Spec.Suspend = ptr.To(yes)
			err = s.Client.Update(ctx, job)
		}
		switch {
		case err == nil:
			return nil
		case !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
			return fmt.Errorf("suspend Job %s, %t: %w", name, yes, err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// evictOne deletes a Pod that runs, as a drain does.
func (s *system) evictOne(ctx context.Context) error {
	var pods corev1.PodList
	if err := s.Client.List(ctx, &pods, client.InNamespace(shop), client.MatchingLabels{v1alpha1.LabelSpider: "books"}); err != nil {
		return fmt.Errorf("list the Pods that run: %w", err)
	}
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			return client.IgnoreNotFound(s.Client.Delete(ctx, pod))
		}
	}
	return nil
}

// failToPull reports of the Pods that no node runs that their image cannot be pulled.
func (s *system) failToPull(ctx context.Context) error {
	var pods corev1.PodList
	if err := s.Client.List(ctx, &pods, client.InNamespace(lab)); err != nil {
		return fmt.Errorf("list the Pods without an image: %w", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if len(pod.Status.ContainerStatuses) > 0 || pod.DeletionTimestamp != nil {
			continue
		}
		pod.Status = cannotPull(pod)
		if err := s.Client.Status().Update(ctx, pod); client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
			return fmt.Errorf("report that an image cannot be pulled: %w", err)
		}
	}
	return nil
}

// caller calls the REST API's replicas in turns, with a key.
type caller struct {
	replicas []*rest.Client
	calls    atomic.Int64
}

// newCaller makes a caller who does not try again what is refused: refusals are part of the load.
func newCaller(facades []string, key string) (*caller, error) {
	c := &caller{}
	for _, facade := range facades {
		replica, err := rest.New(facade, key, rest.WithAttempts(1))
		if err != nil {
			return nil, err
		}
		c.replicas = append(c.replicas, replica)
	}
	return c, nil
}

// next is the replica whose turn it is.
func (c *caller) next() *rest.Client { return c.replicas[int(c.calls.Add(1))%len(c.replicas)] }

// unlessRefused returns an error that is no answer.
func unlessRefused(err error) error {
	if _, refused := errors.AsType[*rest.Error](err); refused {
		return nil
	}
	return err
}

func (c *caller) list(ctx context.Context) error {
	_, err := c.next().ListJobs(ctx, rest.ListJobsParams{Limit: 50})
	return unlessRefused(err)
}

func (c *caller) listSpiders(ctx context.Context) error {
	_, err := c.next().ListSpiders(ctx, rest.ListSpidersParams{})
	return unlessRefused(err)
}

func (c *caller) read(ctx context.Context, id string, wait time.Duration) error {
	_, err := c.next().GetJob(ctx, id, rest.GetJobParams{Wait: wait})
	return unlessRefused(err)
}

func (c *caller) start(ctx context.Context, spider string) error {
	_, err := c.next().StartJob(ctx, rest.StartJob{SpiderName: spider}, rest.StartJobParams{})
	return err
}

// one is the id of a job that is in that state, "" if there is none.
func (c *caller) one(ctx context.Context, status rest.JobStatus) (string, error) {
	page, err := c.next().ListJobs(ctx, rest.ListJobsParams{Limit: 20, Status: []rest.JobStatus{status}})
	if err != nil || len(page.Items) == 0 {
		return "", unlessRefused(err)
	}
	return page.Items[rand.IntN(len(page.Items))].ID, nil //nolint:gosec // an example
}

func (c *caller) readOne(ctx context.Context) error {
	id, err := c.one(ctx, rest.JobStatusFinished)
	if err != nil || id == "" {
		return err
	}
	return c.read(ctx, id, 0)
}

func (c *caller) waitForOne(ctx context.Context, patience time.Duration) error {
	id, err := c.one(ctx, rest.JobStatusRunning)
	if err != nil || id == "" {
		return err
	}
	return c.read(ctx, id, patience)
}

func (c *caller) cancelOne(ctx context.Context) error {
	id, err := c.one(ctx, rest.JobStatusRunning)
	if err != nil || id == "" {
		return err
	}
	return unlessRefused(c.next().CancelJob(ctx, id, rest.CancelJobParams{}))
}

// burst asks so often at once that some of it is refused.
func (c *caller) burst(ctx context.Context, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for range n * len(c.replicas) {
		group.Go(func() error {
			_, err := c.next().GetMe(ctx)
			return unlessRefused(err)
		})
	}
	return group.Wait()
}

// awaitKey waits until the replicas know the caller.
func (c *caller) awaitKey(ctx context.Context) error {
	for _, replica := range c.replicas {
		for {
			_, err := replica.GetMe(ctx)
			if err == nil {
				break
			}
			if err := unlessRefused(err); err != nil {
				return err
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}
