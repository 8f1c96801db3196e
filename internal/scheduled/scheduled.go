// Package scheduled makes the runs of a SpiderSchedule. The controller makes them when they are due, and the REST API on request,
// so that a run is the same however it came to be.
package scheduled

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Run returns the SpiderJob of a schedule for a time at which a run is due. Its name contains that time, so kube-apiserver
// refuses a second one. The zone is the schedule's, spiderTags are the Spider's, and origin is one of the Origin constants.
// The result shares no memory with the schedule.
func Run(
	s *v1alpha1.SpiderSchedule, spiderTags []string, zone *time.Location, at time.Time, origin string,
) *v1alpha1.SpiderJob {
	job := Unscheduled(s, spiderTags, zone, at, origin)
	job.Name = s.RunName(at)
	job.Spec.ScheduledFor = &metav1.Time{Time: at}
	return job
}

// Unscheduled returns a SpiderJob of a schedule that is due at no time, and that its caller has to name. An argument that the
// schedule gives the time gets now, so that spiders that need it work.
func Unscheduled(
	s *v1alpha1.SpiderSchedule, spiderTags []string, zone *time.Location, now time.Time, origin string,
) *v1alpha1.SpiderJob {
	spec := s.Spec.DeepCopy()
	job := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace,
			Labels:    map[string]string{v1alpha1.LabelSchedule: s.Name, v1alpha1.LabelOrigin: origin},
		},
		Spec: v1alpha1.SpiderJobSpec{
			SpiderRef:               spec.SpiderRef,
			Arguments:               spec.Arguments,
			Settings:                spec.Settings,
			TimeoutSeconds:          spec.TimeoutSeconds,
			StartDeadlineSeconds:    spec.StartDeadlineSeconds,
			Retries:                 spec.Retries,
			TTLSecondsAfterFinished: spec.TTLSecondsAfterFinished,
			Priority:                spec.Priority,
			UserID:                  spec.UserID,
		},
	}
	job.AddTags(allowed.Fitting(spec.Tags, spiderTags)...)
	if name := spec.ScheduledTimeArgument; name != "" {
		if job.Spec.Arguments == nil {
			job.Spec.Arguments = map[string]v1alpha1.ArgumentValue{}
		}
		job.Spec.Arguments[name] = v1alpha1.ArgumentValue(now.In(zone).Format(time.RFC3339))
	}
	return job
}
