package spiderjob

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/podlog"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
)

// finalCounts returns the counts that an ended Pod's spider itself reported when it closed. known is false while they may still
// come; once they are known not to come, the counts are the last ones read, and not final.
func finalCounts(o *observation, p plan, pod *podView, now time.Time) (counts stats.Counts, known bool) {
	if p.StatsSource == v1alpha1.StatsFromNowhere {
		return stats.Counts{}, true
	}
	message, _ := terminationCounts(pod)
	if message.Final || p.StatsSource != v1alpha1.StatsFromScrapy || pod.started().IsZero() {
		return message, true
	}
	r := o.reading(pod)
	counts = logCounts(r, pod)
	// A stream that was opened to follow the log to its end may have begun long before it.
	waited := r.Mode == podlog.Final && !r.Began.IsZero() && now.Sub(r.Began) >= countsPatience
	return withFinishReason(message, counts), r.Done || counts.Final || waited
}

// logCounts returns the counts that were read from the log of a Pod. The end of a running spider's log is not the end of a run
// that has ended since: another crawl may have begun in between.
func logCounts(r podlog.Reading, pod *podView) stats.Counts {
	counts := r.Counts
	if r.Since.IsZero() && pod.exit() != nil {
		counts.Final, counts.FinishReason = false, ""
	}
	return counts
}

// withFinishReason returns the counts of a log with what the termination message says about the end. If the message has no
// counts, those of the log stay.
func withFinishReason(message, counts stats.Counts) stats.Counts {
	if message.FinishReason != "" {
		counts.FinishReason = message.FinishReason
	}
	if message.Failure != "" {
		counts.Failure = message.Failure
	}
	return counts
}

// terminationCounts returns the counts in the termination message of a Pod's spider.
func terminationCounts(pod *podView) (stats.Counts, bool) {
	ended := pod.exit()
	if ended == nil {
		return stats.Counts{}, false
	}
	return stats.ParseTerminationMessage(ended.Message)
}

// currentStats returns what is known of the counts of a Pod, which is the SpiderJob's current attempt according to st. Counts
// are final only once the process has ended: before that, a spider can only claim so.
//
// If attempts are summed up, it also moves the recorded counts of earlier attempts into st.EarlierStats, once, and adds those.
func currentStats(o *observation, p plan, pod *podView, ended bool, st *v1alpha1.SpiderJobStatus) *v1alpha1.Stats {
	if p.StatsSource == v1alpha1.StatsFromNowhere {
		return ofAttempt(st.Stats, st.Attempts)
	}
	if p.SumAttempts || st.EarlierStats != nil {
		st.EarlierStats = earlierStats(st)
	}
	previous := ofAttempt(st.Stats, st.Attempts) // the counts of an earlier attempt say nothing about this one
	message, found := terminationCounts(pod)
	r := o.reading(pod)
	read := p.StatsSource == v1alpha1.StatsFromScrapy && r.Known
	switch {
	case message.Final:
		return merge(previous, st.EarlierStats, message, pod.exit().FinishedAt.Time, st.Attempts)
	case read:
		counts := withFinishReason(message, logCounts(r, pod))
		counts.Final = counts.Final && ended
		return merge(previous, st.EarlierStats, counts, r.ObservedAt, st.Attempts)
	case found && previous == nil:
		return merge(nil, st.EarlierStats, message, pod.exit().FinishedAt.Time, st.Attempts)
	case previous == nil && st.EarlierStats != nil:
		sum := st.EarlierStats.DeepCopy() // so far; nothing is known yet of the current attempt
		sum.Attempt, sum.FinishReason, sum.Final = st.Attempts, "", false
		return sum
	}
	return previous
}

func ofAttempt(s *v1alpha1.Stats, attempt int32) *v1alpha1.Stats {
	if s != nil && s.Attempt != attempt {
		return nil
	}
	return s
}

// earlierStats returns the sum of the counts of all attempts before the current one, nil if that is the first. It follows from
// the counts of the last attempt and of those before in the status; once it is recorded, computing it again gives the same. If
// an attempt began and left no counts, the sum is not final; whether an attempt began is known until the next one begins.
func earlierStats(st *v1alpha1.SpiderJobStatus) *v1alpha1.Stats {
	before := st.Attempts - 1
	sum := st.EarlierStats
	if s := st.Stats; s != nil && s.Attempt <= before && (sum == nil || s.Attempt > sum.Attempt) {
		sum = s // which is also a sum
	}
	included := int32(0)
	if sum != nil {
		included = sum.Attempt
	}
	if included >= before {
		return sum
	}
	missing := before - included - st.Unstarted
	next := &v1alpha1.Stats{Source: v1alpha1.OriginNone, Final: true} // nothing ran, so nothing was counted
	if sum != nil {
		next = sum.DeepCopy()
	}
	next.Attempt = before
	next.Final = next.Final && missing <= 0
	return next
}

// lastCounts returns the counts of a Pod that is gone, as far as they were read before.
func lastCounts(o *observation, pod *podView) stats.Counts {
	message, _ := terminationCounts(pod)
	if message.Final {
		return message
	}
	return withFinishReason(message, logCounts(o.reading(pod), pod))
}

// lastStats returns what is known of the counts when nothing of the run exists any more.
func lastStats(o *observation, st *v1alpha1.SpiderJobStatus) *v1alpha1.Stats {
	p := plan{StatsSource: v1alpha1.StatsFromScrapy} // if nothing was to be read, nothing was
	return currentStats(o, p, o.lastPod, true, st)
}

// merge combines what was read, and the sum of earlier attempts if attempts are summed up, with what is recorded of the same
// attempt. Counts never go down, and final ones never change.
func merge(previous, earlier *v1alpha1.Stats, counts stats.Counts, at time.Time, attempt int32) *v1alpha1.Stats {
	if previous != nil && previous.Final {
		return previous
	}
	next := statsOf(counts)
	next.Attempt = attempt
	if !at.IsZero() {
		next.ObservedAt = &metav1.Time{Time: at.Truncate(time.Second)}
	}
	if earlier != nil {
		addStats(next, earlier)
	}
	if previous == nil {
		return next
	}
	next.ItemsScraped = max(next.ItemsScraped, previous.ItemsScraped)
	was := optionalCounts(previous)
	for i, count := range optionalCounts(next) {
		if !next.Final || *count != nil {
			*count = larger(*count, *was[i])
		}
	}
	if !next.Final && sameCounts(next, previous) {
		return previous // a read that found nothing new is not worth a write
	}
	return next
}

// statsOf returns counts as a status has them.
func statsOf(counts stats.Counts) *v1alpha1.Stats {
	return &v1alpha1.Stats{
		ItemsScraped:    counts.Items,
		Responses:       counts.Responses,
		Requests:        counts.Requests,
		Errors:          counts.Errors,
		RequestRetries:  counts.RequestRetries,
		FailedRequests:  counts.FailedRequests,
		Responses2xx:    counts.ResponsesByClass[0],
		Responses3xx:    counts.ResponsesByClass[1],
		Responses4xx:    counts.ResponsesByClass[2],
		Responses5xx:    counts.ResponsesByClass[3],
		ItemsDropped:    counts.ItemsDropped,
		FeedFailures:    counts.FeedFailures,
		PeakMemoryBytes: counts.PeakMemoryBytes,
		ElapsedSeconds:  counts.ElapsedSeconds,
		FinishReason:    counts.FinishReason,
		Source:          counts.Origin,
		Final:           counts.Final,
	}
}

// addStats adds the sum of earlier attempts to the counts of the current one. If both are final, so is the sum, and a count
// that one of them does not have is unknown. Otherwise each count is the sum of what is known. The finish reason is the current
// attempt's.
func addStats(next, earlier *v1alpha1.Stats) {
	if earlier.Final && earlier.Source == v1alpha1.OriginNone {
		return // no earlier attempt has begun
	}
	next.Final = next.Final && earlier.Final
	next.ItemsScraped = min(next.ItemsScraped+earlier.ItemsScraped, stats.MaxCount)
	peak := larger(next.PeakMemoryBytes, earlier.PeakMemoryBytes)
	were := optionalCounts(earlier)
	for i, count := range optionalCounts(next) {
		switch a, b := *count, *were[i]; {
		case a != nil && b != nil:
			sum := min(*a+*b, stats.MaxCount)
			*count = &sum
		case next.Final:
			*count = nil
		default:
			*count = larger(a, b)
		}
	}
	next.PeakMemoryBytes = peak
	if next.Source == v1alpha1.OriginNone {
		next.Source = earlier.Source
	}
}

// optionalCounts returns the counts that may be unknown, in a fixed order.
func optionalCounts(s *v1alpha1.Stats) [13]**int64 {
	return [...]**int64{
		&s.Responses, &s.Requests, &s.Errors, &s.RequestRetries, &s.FailedRequests, &s.Responses2xx, &s.Responses3xx, &s.Responses4xx,
		&s.Responses5xx, &s.ItemsDropped, &s.FeedFailures, &s.PeakMemoryBytes, &s.ElapsedSeconds,
	}
}

func larger(a, b *int64) *int64 {
	if a == nil || (b != nil && *b > *a) {
		return b
	}
	return a
}

func sameCounts(a, b *v1alpha1.Stats) bool {
	others := optionalCounts(b)
	for i, count := range optionalCounts(a) {
		if ptr.Deref(*count, -1) != ptr.Deref(*others[i], -1) {
			return false
		}
	}
	return a.ItemsScraped == b.ItemsScraped && a.FinishReason == b.FinishReason && a.Source == b.Source && a.Final == b.Final
}
