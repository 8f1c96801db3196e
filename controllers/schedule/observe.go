package schedule

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/cron"
)

// unfinishedBySchedule is the cache's index of SpiderJobs that have not ended, by the name of the schedule that has started them.
const unfinishedBySchedule = "unfinished-by-schedule"

// maxNames bounds the names of due times that are looked up: a controller that died before it recorded a run has left one of the
// first of them, and any other is found when it is to be created.
const maxNames = 20

// observe reads everything that concerns a schedule from the cache, or with live from kube-apiserver. It returns nil if there is
// no such schedule.
func (r *Reconciler) observe(ctx context.Context, key types.NamespacedName, live bool) (*observation, error) {
	reader := r.reader(live)
	var schedule v1alpha1.SpiderSchedule
	if found, err := get(ctx, reader, key, &schedule); err != nil || !found {
		return nil, err
	}
	o := &observation{schedule: &schedule, runs: map[string]run{}, live: live}
	if live {
		keepEditTime(o.schedule)
	} else {
		o.schedule = r.written.latest(key, o.schedule)
	}
	o.editedAt = editTime(o.schedule)
	var spider v1alpha1.Spider
	spiderKey := types.NamespacedName{Namespace: key.Namespace, Name: schedule.Spec.SpiderRef.Name}
	found, err := get(ctx, reader, spiderKey, &spider)
	o.spiderTags = spider.Spec.Tags
	switch {
	case err != nil:
		return nil, err
	case !found || !spider.VisibleTo(schedule.Spec.UserID):
		o.noSpider = fmt.Sprintf("there is no Spider %s in namespace %s", spiderKey.Name, key.Namespace)
		if found {
			o.noSpider = fmt.Sprintf("Spider %s belongs to another user", spiderKey.Name)
		}
	}
	return o, r.readRuns(ctx, o)
}

func (r *Reconciler) reader(live bool) client.Reader {
	if live {
		return r.live
	}
	return r.client
}

// readRuns reads the runs that the schedule may have started: those in its status, those that the cache knows, and those that the
// names of due times lead to. Where they may all run at once, only what the cache does not know is read live.
func (r *Reconciler) readRuns(ctx context.Context, o *observation) error {
	s := o.schedule
	var list v1alpha1.SpiderJobList
	err := r.client.List(ctx, &list, client.InNamespace(s.Namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector(unfinishedBySchedule, s.Name)})
	if err != nil {
		return fmt.Errorf("list the runs of SpiderSchedule %s/%s: %w", s.Namespace, s.Name, err)
	}
	names := append([]string{}, s.Status.Active...)
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	if q := s.Status.QueuedFor; q != nil {
		names = append(names, s.RunName(q.Time))
	}
	overlap := s.Spec.OnOverlap() == v1alpha1.OverlapAllow
	due := map[string]bool{}
	if o.live {
		for _, name := range dueNames(s, r.clock.Now()) {
			names, due[name] = append(names, name), true
		}
	}
	for _, name := range names {
		if _, known := o.runs[name]; known {
			continue
		}
		if err := r.readRun(ctx, o, name, o.live && (!overlap || due[name])); err != nil {
			return err
		}
		if _, known := o.runs[name]; !known && o.live && overlap {
			if err := r.readRun(ctx, o, name, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// readRun adds a run to an observation, if it exists.
func (r *Reconciler) readRun(ctx context.Context, o *observation, name string, live bool) error {
	var sj v1alpha1.SpiderJob
	key := types.NamespacedName{Namespace: o.schedule.Namespace, Name: name}
	found, err := get(ctx, r.reader(live), key, &sj)
	if found {
		o.runs[name] = run{
			ours:      sj.Labels[v1alpha1.LabelSchedule] == o.schedule.Name,
			onTime:    sj.Labels[v1alpha1.LabelOrigin] == v1alpha1.OriginSchedule,
			phase:     sj.Status.Phase,
			cancelled: sj.Spec.Cancellation != nil || sj.DeletionTimestamp != nil,
		}
	}
	return err
}

// dueNames returns the names of the runs of due times: the first and the last of them, if there are many.
func dueNames(s *v1alpha1.SpiderSchedule, now time.Time) []string {
	expression, err := cron.Parse(s.Spec.Cron, s.Spec.TimeZone)
	if err != nil {
		return nil // decide says so
	}
	t := times{cron: expression, spec: &s.Spec, uid: s.UID}
	base := latest(timeOf(s.Status.EffectiveSince), timeOf(s.Status.LastScheduledAt))
	var names []string
	for at := t.next(latest(base, now.Add(-maxLookBack))); !at.IsZero() && !at.After(now); at = t.next(at) {
		if len(names) == 2*maxNames {
			names = append(names[:maxNames], names[maxNames+1:]...)
		}
		names = append(names, s.RunName(at))
	}
	return names
}

func get(ctx context.Context, reader client.Reader, key types.NamespacedName, into client.Object) (found bool, err error) {
	switch err := reader.Get(ctx, key, into); {
	case err == nil:
		return true, nil
	case apierrors.IsNotFound(err):
		return false, nil
	default:
		return false, fmt.Errorf("get %T %s: %w", into, key, err)
	}
}
