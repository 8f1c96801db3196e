package controllers

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/podlog"
	"github.com/scrapethis/spider-operator/controllers/stats"
)

// finalCounts are the counts that an ended Pod's spider itself gave when it closed. Known is false while they may still
// come; once they are known not to come the counts are whatever was last read, and not final.
func finalCounts(o *observation, p plan, pod *podView, now time.Time) (counts stats.Counts, known bool) {
	if p.StatsSource == v1alpha1.StatsFromNowhere {
		return stats.Counts{}, true
	}
	message, _ := terminationCounts(pod)
	if message.Final || p.StatsSource != v1alpha1.StatsFromScrapy || pod.started().IsZero() {
		return message, true
	}
	r := o.reading(pod)
	// A stream that was opened to see the end come may have begun long before it.
	waited := r.Mode == podlog.Final && !r.Began.IsZero() && now.Sub(r.Began) >= countsPatience
	return withFinishReason(message, r.Counts), r.Done || r.Counts.Final || waited
}

// withFinishReason are the counts that a log gave with what the termination message says of the end. A message without counts leaves
// these to the log.
func withFinishReason(message, counts stats.Counts) stats.Counts {
	if message.FinishReason != "" {
		counts.FinishReason = message.FinishReason
	}
	if message.Failure != "" {
		counts.Failure = message.Failure
	}
	return counts
}

// terminationCounts are the counts in the termination message of a Pod's spider.
func terminationCounts(pod *podView) (stats.Counts, bool) {
	ended := pod.exit()
	if ended == nil {
		return stats.Counts{}, false
	}
	return stats.ParseTerminationMessage(ended.Message)
}

// currentStats is what is known of the counts of a Pod, which is the SpiderJob's current attempt according to st. Counts are
// final only when the process has ended: before that, a spider can only claim so.
func currentStats(o *observation, p plan, pod *podView, ended bool, st *v1alpha1.SpiderJobStatus) *v1alpha1.Stats {
	previous := st.Stats
	if previous != nil && previous.Attempt != st.Attempts {
		previous = nil // the counts of an earlier attempt say nothing of this one
	}
	if p.StatsSource == v1alpha1.StatsFromNowhere {
		return previous
	}
	message, said := terminationCounts(pod)
	r := o.reading(pod)
	read := p.StatsSource == v1alpha1.StatsFromScrapy && r.Known
	switch {
	case message.Final:
		return merge(previous, message, pod.exit().FinishedAt.Time, st.Attempts)
	case read:
		counts := withFinishReason(message, r.Counts)
		counts.Final = counts.Final && ended
		return merge(previous, counts, r.ObservedAt, st.Attempts)
	case said && previous == nil:
		return merge(nil, message, pod.exit().FinishedAt.Time, st.Attempts)
	}
	return previous
}

// lastCounts are the counts of a Pod that is gone, as far as they were read before.
func lastCounts(o *observation, pod *podView) stats.Counts {
	message, _ := terminationCounts(pod)
	if message.Final {
		return message
	}
	return withFinishReason(message, o.reading(pod).Counts)
}

// lastStats is what is known of the counts when nothing of the run is there any more.
func lastStats(o *observation, st *v1alpha1.SpiderJobStatus) *v1alpha1.Stats {
	p := plan{StatsSource: v1alpha1.StatsFromScrapy} // what was not to be read was not read
	return currentStats(o, p, o.lastPod, true, st)
}

// merge lays what was read over what is recorded of the same attempt. Counts never go down, and final ones never change.
func merge(previous *v1alpha1.Stats, counts stats.Counts, at time.Time, attempt int32) *v1alpha1.Stats {
	if previous != nil && previous.Final {
		return previous
	}
	next := &v1alpha1.Stats{
		ItemsScraped: counts.Items,
		Responses:    counts.Responses,
		Requests:     counts.Requests,
		Errors:       counts.Errors,
		FinishReason: counts.FinishReason,
		Source:       counts.Origin,
		Attempt:      attempt,
		Final:        counts.Final,
	}
	if !at.IsZero() {
		next.ObservedAt = &metav1.Time{Time: at.Truncate(time.Second)}
	}
	if previous == nil {
		return next
	}
	next.ItemsScraped = max(next.ItemsScraped, previous.ItemsScraped)
	next.Responses = larger(next.Responses, previous.Responses)
	next.Requests = larger(next.Requests, previous.Requests)
	next.Errors = larger(next.Errors, previous.Errors)
	if !next.Final && sameCounts(next, previous) {
		return previous // a read that found nothing new is not worth a write
	}
	return next
}

func larger(a, b *int64) *int64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}

func sameCounts(a, b *v1alpha1.Stats) bool {
	return a.ItemsScraped == b.ItemsScraped && valueOr(a.Responses, -1) == valueOr(b.Responses, -1) &&
		valueOr(a.Requests, -1) == valueOr(b.Requests, -1) && valueOr(a.Errors, -1) == valueOr(b.Errors, -1) &&
		a.FinishReason == b.FinishReason && a.Source == b.Source && a.Final == b.Final
}
