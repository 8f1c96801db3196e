package spiderjob

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
)

// podsBySpiderJob is the cache's index of Pods by the name of their SpiderJob.
const podsBySpiderJob = "spiderjob"

// observe reads everything that concerns a SpiderJob from the caches, or with live from kube-apiserver. It returns nil if there
// is no such SpiderJob.
func (r *Reconciler) observe(ctx context.Context, key types.NamespacedName, live bool) (*observation, *jobMemory, error) {
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
	o := &observation{sj: mem.latest(&sj), live: live, defaults: r.defaults}
	if o.sinceLead, err = r.leadership.before(ctx, o.sj.ResourceVersion); err != nil {
		return nil, nil, err
	}

	var spider v1alpha1.Spider
	spiderKey := types.NamespacedName{Namespace: key.Namespace, Name: sj.Spec.SpiderRef.Name}
	if found, err := get(ctx, reader, spiderKey, &spider, "Spider"); err != nil {
		return nil, nil, err
	} else if found {
		o.spider = &spider
	}
	if o.neededBySchedule, err = neededBySchedule(ctx, reader, &sj); err != nil {
		return nil, nil, err
	}
	var job batchv1.Job
	if found, err := get(ctx, reader, key, &job, "Job"); err != nil {
		return nil, nil, err
	} else if found {
		if live {
			slimJob(&job)
		}
		o.job = viewJob(&job)
		mem.seen(&job)
	} else if !live {
		o.job = viewJob(mem.recentJob(now))
		o.assumed = o.job != nil
	}
	if o.pods, o.earlierPod, err = r.readPods(ctx, o.sj, live); err != nil {
		return nil, nil, err
	}
	mem.remember(o, r.memory.takePassed(mem), now)
	mem.show(o)
	r.readLogs(o)
	o.quota = r.askQuota(o, now)
	o.admission = r.askAdmission(o, now)
	return o, mem, nil
}

// neededBySchedule reports whether the schedule of an ended run, if it has one, still needs the run.
func neededBySchedule(ctx context.Context, reader client.Reader, sj *v1alpha1.SpiderJob) (bool, error) {
	name := sj.Labels[v1alpha1.LabelSchedule]
	if name == "" || sj.Spec.ScheduledFor == nil || !sj.Status.Phase.Terminal() {
		return false, nil
	}
	var schedule v1alpha1.SpiderSchedule
	found, err := get(ctx, reader, types.NamespacedName{Namespace: sj.Namespace, Name: name}, &schedule, "SpiderSchedule")
	return found && schedule.Needs(sj.Name, sj.Spec.ScheduledFor.Time), err
}

// readLogs adds what is known from the logs of the Pods. The Collector then reads no other Pods of this SpiderJob any longer.
func (r *Reconciler) readLogs(o *observation) {
	wanted := make([]types.UID, 0, len(o.pods)+3)
	for _, pod := range append(slices.Clone(o.pods), o.lastPod, o.witness, o.exited) {
		if pod == nil || slices.Contains(wanted, pod.uid) {
			continue
		}
		wanted = append(wanted, pod.uid)
		if reading := r.logs.Reading(pod.uid); reading != (podlog.Reading{}) {
			if o.readings == nil {
				o.readings = make(map[types.UID]podlog.Reading, len(o.pods))
			}
			o.readings[pod.uid] = reading
		}
	}
	r.logs.Keep(client.ObjectKeyFromObject(o.sj), wanted...)
}

// ownedLikeOurs reports whether a Pod may be ours by its owner: the Job of its SpiderJob's name controls it, or nothing does
// because somebody has deleted that Job and left its Pods.
func ownedLikeOurs(pod *podView, spiderJob string) bool {
	return pod.controller == nil || pod.controller.Kind == "Job" && pod.controller.Name == spiderJob
}

// readPods returns the Pods of this very SpiderJob, the oldest first, and a Pod of an earlier SpiderJob of its name that has
// not ended yet, if there is one.
func (r *Reconciler) readPods(
	ctx context.Context, sj *v1alpha1.SpiderJob, live bool,
) (pods []*podView, earlier *podView, err error) {
	all, err := r.listPods(ctx, client.ObjectKeyFromObject(sj), live)
	if err != nil {
		return nil, nil, err
	}
	for _, pod := range all {
		switch {
		case pod.spiderJob == sj.UID:
			pods = append(pods, pod)
		case !pod.ended():
			earlier = pod
		}
	}
	sortPods(pods)
	return pods, earlier, nil
}

// listPods returns the Pods of every SpiderJob that has, or had, a name.
func (r *Reconciler) listPods(ctx context.Context, key types.NamespacedName, live bool) ([]*podView, error) {
	var list corev1.PodList
	var err error
	if live {
		err = r.live.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.LabelSpiderJob: key.Name})
	} else {
		err = r.client.List(ctx, &list, client.InNamespace(key.Namespace),
			client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector(podsBySpiderJob, key.Name)})
	}
	if err != nil {
		return nil, fmt.Errorf("list the Pods of SpiderJob %s: %w", key, err)
	}
	pods := make([]*podView, 0, len(list.Items))
	for i := range list.Items {
		if live {
			slimPod(&list.Items[i])
		}
		if pod := viewPod(&list.Items[i]); ownedLikeOurs(pod, key.Name) {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

func get(
	ctx context.Context, reader client.Reader, key types.NamespacedName, into client.Object, kind string,
) (found bool, err error) {
	switch err := reader.Get(ctx, key, into); {
	case err == nil:
		return true, nil
	case apierrors.IsNotFound(err):
		return false, nil
	default:
		return false, fmt.Errorf("get %s %s: %w", kind, key, err)
	}
}

// logTarget identifies the log of the Pod's spider.
func logTarget(o *observation, pod *podView) podlog.Target {
	return podlog.Target{
		Namespace: pod.namespace,
		Name:      pod.name,
		UID:       pod.uid,
		Node:      pod.node,
		Container: v1alpha1.ContainerName,
		SpiderJob: client.ObjectKeyFromObject(o.sj),
	}
}
