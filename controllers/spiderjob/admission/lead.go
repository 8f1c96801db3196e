package admission

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/order"
)

// Settling is how long a new leader waits before it admits what limits concern: a Job that its predecessor was creating when its
// lease ended, behind a webhook that takes as long as Kubernetes lets it, is there by then.
const Settling = 30 * time.Second

// pageSize bounds the Jobs in one answer of kube-apiserver.
const pageSize = 500

// Follower opens a Gate when this process leads, and tells it the limits. It is a manager.Runnable.
type Follower struct {
	Gate *Gate
	// Cache has SpiderQuotas, Spiders and SpiderJobs, and Live reads from kube-apiserver.
	Cache cache.Cache
	Live  client.Reader
	Clock clock.Clock

	synced []toolscache.ResourceEventHandlerRegistration
}

// Follow begins to follow the limits. Until Start has opened the Gate, it admits nothing that limits concern.
func (f *Follower) Follow(ctx context.Context) error {
	f.Gate.close()
	for _, followed := range []struct {
		kind client.Object
		set  func(obj client.Object, gone bool)
	}{
		{&v1alpha1.SpiderQuota{}, f.setQuota},
		{&v1alpha1.Spider{}, f.setSpider},
	} {
		informer, err := f.Cache.GetInformer(ctx, followed.kind)
		if err != nil {
			return fmt.Errorf("follow %T: %w", followed.kind, err)
		}
		handler := toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { follow(obj, false, followed.set) },
			UpdateFunc: func(_, obj any) { follow(obj, false, followed.set) },
			DeleteFunc: func(obj any) { follow(obj, true, followed.set) },
		}
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("follow %T: %w", followed.kind, err)
		}
		f.synced = append(f.synced, registration)
	}
	return nil
}

func follow(obj any, gone bool, set func(client.Object, bool)) {
	if last, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = last.Obj
	}
	if object, ok := obj.(client.Object); ok {
		set(object, gone)
	}
}

func (f *Follower) setQuota(obj client.Object, gone bool) {
	quota, ok := obj.(*v1alpha1.SpiderQuota)
	switch {
	case !ok:
	case gone:
		f.Gate.SetQuota(quota.Namespace, nil, f.Clock.Now())
	default:
		f.Gate.SetQuota(quota.Namespace, &quota.Spec, f.Clock.Now())
	}
}

func (f *Follower) setSpider(obj client.Object, gone bool) {
	most := 0
	if spider, ok := obj.(*v1alpha1.Spider); ok && !gone && spider.Spec.Concurrency != nil {
		most = int(spider.Spec.Concurrency.Max)
	}
	f.Gate.SetSpider(client.ObjectKeyFromObject(obj), most, f.Clock.Now())
}

// Start opens the Gate, and enqueues SpiderJobs until ctx ends. It runs in the process that leads.
func (f *Follower) Start(ctx context.Context) error {
	shown.gate.Store(f.Gate)
	go f.Gate.Enqueue(ctx)
	for _, registration := range f.synced {
		if !toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return nil
		}
	}
	f.Gate.know(f.Clock.Now())
	select {
	case <-ctx.Done():
		return nil
	case <-f.Clock.After(Settling):
	}
	if err := f.findRunning(ctx); err != nil {
		return err
	}
	f.Gate.open(f.Clock.Now())
	<-ctx.Done()
	return nil
}

// findRunning reports to the Gate all SpiderJobs that have a Job, by a live list, where there are limits.
func (f *Follower) findRunning(ctx context.Context) error {
	for _, namespace := range f.Gate.limited() {
		var page metav1.PartialObjectMetadataList
		page.SetGroupVersionKind(batchv1.SchemeGroupVersion.WithKind("JobList"))
		for {
			options := []client.ListOption{
				client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelSpiderJob},
				client.Limit(pageSize), client.Continue(page.Continue),
			}
			if err := f.Live.List(ctx, &page, options...); err != nil {
				return fmt.Errorf("list the Jobs of namespace %s: %w", namespace, err)
			}
			for i := range page.Items {
				if err := f.reportRunning(ctx, namespace, page.Items[i].Labels[v1alpha1.LabelSpiderJob]); err != nil {
					return err
				}
			}
			if page.Continue == "" {
				break
			}
		}
	}
	return nil
}

func (f *Follower) reportRunning(ctx context.Context, namespace, name string) error {
	var sj v1alpha1.SpiderJob
	err := f.Cache.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &sj)
	switch {
	case apierrors.IsNotFound(err) || err == nil && sj.Status.Phase.Terminal():
		return nil // its Job is only kept
	case err != nil:
		return fmt.Errorf("get SpiderJob %s/%s: %w", namespace, name, err)
	}
	var spider v1alpha1.Spider
	err = f.Cache.Get(ctx, types.NamespacedName{Namespace: namespace, Name: sj.Spec.SpiderRef.Name}, &spider)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get Spider %s/%s: %w", namespace, sj.Spec.SpiderRef.Name, err)
	}
	f.Gate.Runs(namespace, RunOf(&sj, &spider))
	return nil
}

// RunOf returns a SpiderJob as far as limits are concerned. The Spider may be empty.
func RunOf(sj *v1alpha1.SpiderJob, spider *v1alpha1.Spider) order.Run {
	run := order.Run{
		Name: sj.Name, User: sj.Spec.UserID, Spider: sj.Spec.SpiderRef.Name, Created: sj.CreationTimestamp.Time,
		Priority: sj.Spec.Priority,
	}
	if spider != nil && spider.Spec.Concurrency != nil {
		run.Group = spider.Spec.Concurrency.Group
	}
	return run
}

// close has the Gate admit nothing until it knows the limits, and what runs.
func (g *Gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase = blind
}

// know says that all limits are known: what they do not concern is admitted.
func (g *Gate) know(now time.Time) { g.enter(settling, now) }

// open says that all that runs is known.
func (g *Gate) open(now time.Time) { g.enter(opened, now) }

func (g *Gate) enter(p phase, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.phase = p
	for _, n := range g.namespaces {
		g.admit(n, "", now)
		for name, j := range n.jobs {
			if j.state == waiting { // what it waits for is another now
				g.woken.Add(types.NamespacedName{Namespace: n.name, Name: name})
			}
		}
	}
}

// limited returns the namespaces with limits.
func (g *Gate) limited() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name, n := range g.namespaces {
		if !unlimited(&n.limits) {
			names = append(names, name)
		}
	}
	return names
}
