package controllers

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
)

// podsBySpiderJob is the cache's index of Pods by the name of their SpiderJob.
const podsBySpiderJob = "spiderjob"

// observe reads everything that concerns a SpiderJob from the caches, or with live from the API server. It returns nil where
// there is no such SpiderJob.
func (r *Reconciler) observe(ctx context.Context, key types.NamespacedName, live bool) (*observation, *recollection, error) {
	reader := client.Reader(r.client)
	if live {
		reader = r.live
	}
	var sj v1alpha1.SpiderJob
	found, err := get(ctx, reader, key, &sj, "SpiderJob")
	if err != nil || !found {
		return nil, nil, err
	}
	if live {
		slimSpiderJob(&sj)
	}
	mem := r.memory.of(key, sj.UID)
	now := r.clock.Now()
	o := &observation{
		sj: mem.latest(&sj), live: live, events: mem.events, eventsAt: mem.eventsAt,
		defaults: r.defaults,
	}
	if o.sinceLead, err = r.lead.before(ctx, o.sj.ResourceVersion); err != nil {
		return nil, nil, err
	}

	var spider v1alpha1.Spider
	spiderKey := types.NamespacedName{Namespace: key.Namespace, Name: sj.Spec.SpiderRef.Name}
	if found, err := get(ctx, reader, spiderKey, &spider, "Spider"); err != nil {
		return nil, nil, err
	} else if found {
		o.spider = &spider
	}
	var job batchv1.Job
	if found, err := get(ctx, reader, key, &job, "Job"); err != nil {
		return nil, nil, err
	} else if found {
		if live {
			slimJob(&job)
		}
		o.job = &job
		mem.seen(&job)
	} else if !live {
		o.job = mem.recentJob(now)
	}
	if o.pods, o.earlierPod, err = r.readPods(ctx, o.sj, live); err != nil {
		return nil, nil, err
	}
	if pod := o.presentPod(); pod != nil {
		mem.lastPod = pod
	}
	o.lastPod = mem.lastPod
	if o.lastPod != nil {
		o.reading = r.logs.Reading(o.lastPod.UID)
	}
	return o, mem, nil
}

// readPods returns the Pods of this very SpiderJob, the oldest first, and a Pod of an earlier SpiderJob of its name that has
// not ended yet, if there is one.
func (r *Reconciler) readPods(
	ctx context.Context, sj *v1alpha1.SpiderJob, live bool,
) (pods []*corev1.Pod, earlier *corev1.Pod, err error) {
	var list corev1.PodList
	if live {
		err = r.live.List(ctx, &list, client.InNamespace(sj.Namespace), client.MatchingLabels{v1alpha1.LabelSpiderJob: sj.Name})
	} else {
		err = r.client.List(ctx, &list, client.InNamespace(sj.Namespace),
			client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector(podsBySpiderJob, sj.Name)})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list the Pods of SpiderJob %s/%s: %w", sj.Namespace, sj.Name, err)
	}
	pods = make([]*corev1.Pod, 0, len(list.Items))
	for i := range list.Items {
		pod := &list.Items[i]
		if live {
			slimPod(pod)
		}
		owner := metav1.GetControllerOf(pod)
		switch {
		case owner == nil || owner.Kind != "Job" || owner.Name != sj.Name:
		case pod.Labels[v1alpha1.LabelSpiderJobUID] == string(sj.UID):
			pods = append(pods, pod)
		case !podEnded(pod):
			earlier = pod
		}
	}
	sortPods(pods)
	return pods, earlier, nil
}

// readEvents asks the Job's Warning Events why it has no Pod, and remembers the answer: the latest of them.
func (r *Reconciler) readEvents(ctx context.Context, o *observation, mem *recollection) error {
	var list corev1.EventList
	selector := fields.Set{"involvedObject.uid": string(o.job.UID), "type": corev1.EventTypeWarning}.AsSelector()
	err := r.live.List(ctx, &list, client.InNamespace(o.job.Namespace), client.MatchingFieldsSelector{Selector: selector}, client.Limit(100))
	if err != nil {
		return fmt.Errorf("list the Events of Job %s/%s: %w", o.job.Namespace, o.job.Name, err)
	}
	mem.events, mem.eventsAt = nil, r.clock.Now()
	var latest time.Time
	for i := range list.Items {
		event := &list.Items[i]
		at := event.LastTimestamp.Time
		if event.Series != nil {
			at = event.Series.LastObservedTime.Time
		}
		if at.IsZero() {
			at = event.EventTime.Time
		}
		if mem.events == nil || at.After(latest) {
			cause := explain(event.Message)
			mem.events, latest = &cause, at
		}
	}
	o.events, o.eventsAt = mem.events, mem.eventsAt
	return nil
}

func get(ctx context.Context, reader client.Reader, key types.NamespacedName, into client.Object, kind string) (found bool, err error) {
	switch err := reader.Get(ctx, key, into); {
	case err == nil:
		return true, nil
	case apierrors.IsNotFound(err):
		return false, nil
	default:
		return false, fmt.Errorf("get %s %s: %w", kind, key, err)
	}
}

// logTarget is the log of the Pod's spider.
func logTarget(o *observation, pod *corev1.Pod) podlog.Target {
	return podlog.Target{
		Namespace: pod.Namespace,
		Name:      pod.Name,
		UID:       pod.UID,
		Container: v1alpha1.ContainerName,
		SpiderJob: client.ObjectKeyFromObject(o.sj),
	}
}
