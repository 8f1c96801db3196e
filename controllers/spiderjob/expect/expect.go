// Package expect judges whether a run that exited with success meets the expectations of its Spider and SpiderJob.
//
// It is pure: rules and what is known of a run go in, the broken rules come out. The caller decides what follows from them.
package expect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Run is what is known of a run at its end.
type Run struct {
	// Stats are its counts, nil for none. Only final ones are judged.
	Stats *v1alpha1.Stats
	// Feeds says that feeds are watched, as they are for every spider whose Scrapy log is read: lost data is an error even
	// without a rule.
	Feeds bool
	// FeedError is what the log says about a feed that could not be written, "" for nothing.
	FeedError string
	// Duration is how long the last attempt ran, 0 if unknown.
	Duration time.Duration
	// Earlier are the items of the earlier runs to compare with, the newest first.
	Earlier []int64
	// Kept is how long earlier runs are kept.
	Kept time.Duration
}

// Judgement is the result for the rules.
type Judgement struct {
	// Broken are the violations, in the order of the rules.
	Broken []v1alpha1.Violation
	// Unknown says, in one sentence per rule, what could not be judged and why.
	Unknown []string
	// Missing says that counts were missing for one of these, and Few that there were too few earlier runs.
	Missing, Few bool
	// Unasked says that feeds have failed although no rule is about feeds: that is an error whatever onViolation says.
	Unasked bool
}

// Broke reports whether a rule was broken.
func (j Judgement) Broke(rule string) bool {
	return slices.ContainsFunc(j.Broken, func(v v1alpha1.Violation) bool { return v.Rule == rule })
}

// Judge applies the rules to a run that has ended; nil means no rules. A rule whose counts are missing is unknown, not broken,
// unless the rules require counts.
func Judge(rules *v1alpha1.Expectations, run Run) Judgement {
	j := judge{run: run}
	if rules == nil {
		if run.Feeds && run.final() {
			j.feeds(rules)
		}
		return j.Judgement
	}
	j.atLeast(v1alpha1.RuleMinItems, rules.MinItems, j.items)
	j.atMost(v1alpha1.RuleMaxErrors, rules.MaxErrors, func() *int64 { return j.count(run.Stats.Errors) })
	j.failedResponses(rules.MaxFailedResponsePercent)
	j.duration(rules.MaxDurationSeconds)
	j.finishReason(rules.FinishReasons)
	if run.Feeds || rules.FeedFailures != nil {
		j.feeds(rules)
	}
	j.comparison(rules.ComparedToPrevious)
	if rules.RequireCounts && (j.Missing || !run.final()) {
		actual := "none could be read"
		if run.final() {
			actual = strings.Join(j.Unknown, "; ")
		}
		j.broke(v1alpha1.RuleRequireCounts, "final counts", actual)
		j.Unknown, j.Missing = nil, false
	}
	return j.Judgement
}

// Sentence names the broken rules and their numbers, and what could not be judged.
func (j Judgement) Sentence() string {
	parts := make([]string, 0, len(j.Broken)+1)
	for _, v := range j.Broken {
		parts = append(parts, fmt.Sprintf("%s: %s, expected %s", v.Rule, v.Actual, v.Expected))
	}
	return strings.Join(append(parts, j.Unknown...), "; ")
}

// MatchesReason reports whether one of the entries matches a finish reason: it is the same, or ends in "*" after a prefix of
// it.
func MatchesReason(entries []string, reason string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		if prefix, open := strings.CutSuffix(entry, "*"); open {
			return strings.HasPrefix(reason, prefix)
		}
		return entry == reason
	})
}

// judge is a judgement under construction.
type judge struct {
	Judgement
	run Run
}

func (r Run) final() bool { return r.Stats != nil && r.Stats.Final }

func (j *judge) broke(rule, expected, actual string) {
	j.Broken = append(j.Broken, v1alpha1.Violation{Rule: rule, Expected: expected, Actual: actual})
}

// missing records that a rule could not be judged because counts are missing.
func (j *judge) missing(rule, why string) {
	j.Unknown, j.Missing = append(j.Unknown, rule+" could not be judged: "+why), true
}

// counted reports whether there are final counts to judge a rule by, and records it if there are not.
func (j *judge) counted(rule string) bool {
	if !j.run.final() {
		j.missing(rule, "there are no final counts")
	}
	return j.run.final()
}

func (j *judge) items() *int64 { return &j.run.Stats.ItemsScraped }

// count returns a count of final stats, nil if the spider did not report it. Scrapy's dump leaves out what it has never
// counted.
func (j *judge) count(given *int64) *int64 {
	if given == nil && j.run.Stats.Source == v1alpha1.OriginScrapyStats {
		return new(int64)
	}
	return given
}

func (j *judge) atLeast(rule string, bound *int64, actual func() *int64) {
	if bound == nil || !j.counted(rule) {
		return
	}
	switch n := actual(); {
	case n == nil:
		j.missing(rule, notGiven)
	case *n < *bound:
		j.broke(rule, fmt.Sprintf("at least %d", *bound), fmt.Sprint(*n))
	}
}

func (j *judge) atMost(rule string, bound *int64, actual func() *int64) {
	if bound == nil || !j.counted(rule) {
		return
	}
	switch n := actual(); {
	case n == nil:
		j.missing(rule, notGiven)
	case *n > *bound:
		j.broke(rule, atMost(*bound), fmt.Sprint(*n))
	}
}

const notGiven = "the spider did not report that count"

func atMost(n int64) string { return fmt.Sprintf("at most %d", n) }

// failedResponses judges the share of failures: responses of status 4xx and 5xx, and failed downloads, of all responses and
// failed downloads. A run without any of these has no failures.
func (j *judge) failedResponses(bound *int32) {
	const rule = v1alpha1.RuleMaxFailedResponsePercent
	if bound == nil || !j.counted(rule) {
		return
	}
	s := j.run.Stats
	downloads, clientErrors, serverErrors := j.count(s.FailedRequests), j.count(s.Responses4xx), j.count(s.Responses5xx)
	responses := j.count(s.Responses)
	if downloads == nil || clientErrors == nil || serverErrors == nil || responses == nil {
		j.missing(rule, "the spider did not report the responses by class and the failed downloads")
		return
	}
	failed := *clientErrors + *serverErrors + *downloads
	all := max(*responses+*downloads, failed) // with more failures than answers, the answers were miscounted
	if failed*100 > int64(*bound)*all {       // at most 3 × 2⁵³ × 100, which fits
		j.broke(
			rule, fmt.Sprintf("at most %d %%", *bound), fmt.Sprintf("%.1f %% (%d of %d)", float64(failed)*100/float64(all), failed, all),
		)
	}
}

func (j *judge) duration(bound *int64) {
	const rule = v1alpha1.RuleMaxDurationSeconds
	switch longest := time.Duration(ptr.Deref(bound, 0)) * time.Second; {
	case bound == nil:
	case j.run.Duration <= 0:
		j.Unknown = append(j.Unknown, rule+" could not be judged: how long it ran is not known")
	case j.run.Duration > longest:
		j.broke(rule, "at most "+longest.String(), j.run.Duration.Round(time.Second).String())
	}
}

func (j *judge) finishReason(expected []string) {
	const rule = v1alpha1.RuleFinishReasons
	if len(expected) == 0 || !j.counted(rule) {
		return
	}
	switch reason := j.run.Stats.FinishReason; {
	case reason == "":
		j.missing(rule, "the spider did not report its finish reason")
	case !MatchesReason(expected, reason):
		j.broke(rule, strings.Join(expected, " or "), reason)
	}
}

// feeds judges feeds that could not be written or delivered. Scrapy 2.8 does not count a feed that could not be opened, but
// logs it.
func (j *judge) feeds(rules *v1alpha1.Expectations) {
	const rule = v1alpha1.RuleFeedFailures
	asked := rules != nil && rules.FeedFailures != nil
	if !asked && !j.run.final() { // the default rule requires no result
		return
	}
	if !j.counted(rule) {
		return
	}
	failures := j.count(j.run.Stats.FeedFailures)
	if j.run.FeedError != "" {
		failures = new(max(ptr.Deref(failures, 0), 1))
	}
	switch most := rules.MaxFeedFailures(); {
	case failures == nil && asked:
		j.missing(rule, notGiven)
	case failures != nil && *failures > most:
		actual := fmt.Sprint(*failures)
		if j.run.FeedError != "" {
			actual += " (" + j.run.FeedError + ")"
		}
		j.broke(rule, atMost(most), actual)
		j.Unasked = !asked
	}
}

func (j *judge) comparison(c *v1alpha1.ComparedToPrevious) {
	const rule = v1alpha1.RuleComparedToPrevious
	if c == nil || !j.counted(rule) {
		return
	}
	runs := Runs(c)
	if len(j.run.Earlier) < runs {
		j.Few = true
		j.Unknown = append(j.Unknown, fmt.Sprintf(
			"%s could not be judged: of the %d earlier runs that it needs there are %d; "+
				"an ended SpiderJob is kept for %s (ttlSecondsAfterFinished)",
			rule,
			runs,
			len(j.run.Earlier),
			j.run.Kept,
		))
		return
	}
	middle := median(j.run.Earlier[:runs])
	if items := j.run.Stats.ItemsScraped; float64(items)*100 < float64(c.MinItemsPercent)*middle {
		actual := fmt.Sprintf("%d items", items)
		if middle > 0 {
			actual += fmt.Sprintf(", %.1f %%", float64(items)*100/middle)
		}
		j.broke(rule, fmt.Sprintf("at least %d %% of %s items, the median of the last %d runs",
			c.MinItemsPercent, strings.TrimSuffix(fmt.Sprintf("%.1f", middle), ".0"), runs), actual)
	}
}

// Runs returns how many earlier runs a comparison needs.
func Runs(c *v1alpha1.ComparedToPrevious) int {
	return int(min(max(cmp.Or(c.Runs, v1alpha1.DefaultPreviousRuns), 1), allowed.MaxPreviousRuns))
}

// median returns the median: of an even number of values, the mean of the two in the middle.
func median(numbers []int64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return float64(sorted[half])
	}
	return (float64(sorted[half-1]) + float64(sorted[half])) / 2
}
