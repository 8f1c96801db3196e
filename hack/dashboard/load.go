package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
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
	every(250*time.Millisecond, func(ctx context.Context) error { return api.get(ctx, "/api/v1/jobs?limit=50") })
	every(100*time.Millisecond, api.readOne)
	every(2*time.Second, func(ctx context.Context) error { return api.get(ctx, "/api/v1/spiders") })
	every(time.Second, func(ctx context.Context) error { return api.waitForOne(ctx, 5*time.Second) })
	every(5*time.Second, api.cancelOne)
	every(4*time.Second, func(ctx context.Context) error {
		return api.get(ctx, "/api/v1/jobs/01939a2b-7c4d-7e8f-9a0b-1c2d3e4f5a6b")
	})
	every(4*time.Second, func(ctx context.Context) error { return callers.stranger.get(ctx, "/api/v1/jobs") })
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
		*who = &caller{facades: s.facades, key: key.Reveal()}
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
	facades []string
	key     string
	calls   atomic.Int64
}

// call makes a call and decodes what it is answered, if it is answered well. Refusals are part of the load.
func (c *caller) call(ctx context.Context, method, path string, body, into any) (int, error) {
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, fmt.Errorf("encode a request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	facade := c.facades[int(c.calls.Add(1))%len(c.facades)]
	request, err := http.NewRequestWithContext(ctx, method, facade+path, content)
	if err != nil {
		return 0, fmt.Errorf("make a request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("call the REST API: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, fmt.Errorf("read an answer: %w", err)
	}
	if into == nil || response.StatusCode != http.StatusOK {
		return response.StatusCode, nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return 0, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	return response.StatusCode, nil
}

func (c *caller) get(ctx context.Context, path string) error {
	_, err := c.call(ctx, http.MethodGet, path, nil, nil)
	return err
}

func (c *caller) start(ctx context.Context, spider string) error {
	status, err := c.call(ctx, http.MethodPost, "/api/v1/jobs", map[string]string{"spider_name": spider}, nil)
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("starting %s is answered %d", spider, status)
	}
	return err
}

// one is the id of a job that is in that state, "" if there is none.
func (c *caller) one(ctx context.Context, status string) (string, error) {
	var jobs []struct{ ID string }
	if _, err := c.call(ctx, http.MethodGet, "/api/v1/jobs?limit=20&status="+status, nil, &jobs); err != nil || len(jobs) == 0 {
		return "", err
	}
	return jobs[rand.IntN(len(jobs))].ID, nil //nolint:gosec // an example
}

func (c *caller) readOne(ctx context.Context) error {
	id, err := c.one(ctx, "finished")
	if err != nil || id == "" {
		return err
	}
	return c.get(ctx, "/api/v1/jobs/"+id)
}

func (c *caller) waitForOne(ctx context.Context, patience time.Duration) error {
	id, err := c.one(ctx, "running")
	if err != nil || id == "" {
		return err
	}
	return c.get(ctx, fmt.Sprintf("/api/v1/jobs/%s?wait=%d", id, int(patience.Seconds())))
}

func (c *caller) cancelOne(ctx context.Context) error {
	id, err := c.one(ctx, "running")
	if err != nil || id == "" {
		return err
	}
	_, err = c.call(ctx, http.MethodDelete, "/api/v1/jobs/"+id, nil, nil)
	return err
}

// burst asks so often at once that some of it is refused.
func (c *caller) burst(ctx context.Context, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for range n * len(c.facades) {
		group.Go(func() error { return c.get(ctx, "/api/v1/me") })
	}
	return group.Wait()
}

// awaitKey waits until the replicas know the caller.
func (c *caller) awaitKey(ctx context.Context) error {
	for range c.facades {
		for {
			status, err := c.call(ctx, http.MethodGet, "/api/v1/me", nil, nil)
			if err != nil {
				return err
			}
			if status == http.StatusOK {
				break
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
