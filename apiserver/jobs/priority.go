package jobs

import (
	"fmt"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// CheckPriority returns what is wrong with a change of a priority in a namespace. Anybody may lower it; it may be raised as far
// as the SpiderQuota allows. What is new has had the priority 0.
func (s *Jobs) CheckPriority(namespace string, was, is int32) error {
	if highest := s.quotas.Of(namespace).MaxPriority; is > max(was, highest) {
		return &failure.Error{
			Kind: failure.KindInvalid, Code: "priority_too_high", Field: "priority",
			Message: fmt.Sprintf("priority: may be at most %d in this namespace.", highest),
		}
	}
	return nil
}

// queued reports whether a SpiderJob has no Job yet, nor will be stopped before it has one: only then does its priority matter.
func queued(job *v1alpha1.SpiderJob) bool {
	status := &job.Status
	return job.Spec.Cancellation == nil && status.JobUID == "" && (status.Phase == "" || status.Phase == v1alpha1.PhasePending)
}
