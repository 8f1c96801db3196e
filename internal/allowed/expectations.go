package allowed

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Tightened returns the rules of a run from those of its Spider and its SpiderJob; each may be nil. The result shares no memory
// with either. The error is a *RefusedError if the SpiderJob would loosen a rule. What the SpiderJob does not set is as in the
// Spider.
//
//   - A bound may only become tighter, and finish reasons only be left out. A finish reason of the SpiderJob must match an entry
//     of the Spider.
//   - feedFailures is 0 unless the Spider sets it: losing data is an error, unless the Spider allows more. A SpiderJob that
//     repeats that default changes nothing, so that its onViolation does not apply to what was an error without it.
//   - In comparedToPrevious minItemsPercent may rise. Other runs or sameArguments would be another comparison, neither stricter
//     nor looser, so they may not differ.
//   - onStall and onViolation may become stricter: Stop or Error before Retry before Report. They are free if the Spider has no
//     rule that they apply to.
//   - requireCounts may be added; false counts as absent.
func Tightened(spider, by *v1alpha1.Expectations) (*v1alpha1.Expectations, error) {
	if by == nil {
		return spider.DeepCopy(), nil
	}
	if spider == nil {
		spider = &v1alpha1.Expectations{}
	}
	result, asked := spider.DeepCopy(), by.DeepCopy()
	for _, tighten := range []func() error{
		func() error { return atLeast("minItems", &result.MinItems, asked.MinItems) },
		func() error { return atMost("maxErrors", &result.MaxErrors, asked.MaxErrors) },
		func() error {
			return atMost("maxFailedResponsePercent", &result.MaxFailedResponsePercent, asked.MaxFailedResponsePercent)
		},
		func() error {
			return atMost("maxDurationSeconds", &result.MaxDurationSeconds, asked.MaxDurationSeconds)
		},
		func() error { return fewerReasons(&result.FinishReasons, asked.FinishReasons) },
		func() error { return fewerFeedFailures(result, asked.FeedFailures) },
		func() error { return closerComparison(&result.ComparedToPrevious, asked.ComparedToPrevious) },
		func() error { return atMost("noProgressSeconds", &result.NoProgressSeconds, asked.NoProgressSeconds) },
		func() error {
			bound := spider.OnStall != "" || spider.NoProgressSeconds != nil
			return stricter("onStall", &result.OnStall, asked.OnStall, bound,
				v1alpha1.StallReport, v1alpha1.StallRetry, v1alpha1.StallStop)
		},
		func() error {
			bound := spider.OnViolation != "" || judges(spider)
			return stricter("onViolation", &result.OnViolation, asked.OnViolation, bound,
				v1alpha1.ViolationReport, v1alpha1.ViolationRetry, v1alpha1.ViolationError)
		},
	} {
		if err := tighten(); err != nil {
			return nil, err
		}
	}
	result.RequireCounts = spider.RequireCounts || by.RequireCounts
	return result, nil
}

// judges reports whether there is any rule that onViolation applies to.
func judges(e *v1alpha1.Expectations) bool {
	return e.MinItems != nil || e.MaxErrors != nil || e.MaxFailedResponsePercent != nil || e.MaxDurationSeconds != nil ||
		len(e.FinishReasons) > 0 || e.FeedFailures != nil || e.ComparedToPrevious != nil || e.RequireCounts
}

func atLeast[T int32 | int64](field string, has **T, asked *T) error {
	return nearer(field, has, asked, func(asked, has T) bool { return asked >= has })
}

func atMost[T int32 | int64](field string, has **T, asked *T) error {
	return nearer(field, has, asked, func(asked, has T) bool { return asked <= has })
}

// nearer replaces a bound by the requested one, if there is none or the requested one is tighter.
func nearer[T int32 | int64](field string, has **T, asked *T, holds func(asked, has T) bool) error {
	switch {
	case asked == nil:
		return nil
	case *has != nil && !holds(*asked, **has):
		return loosened(field, *asked, **has)
	}
	*has = asked
	return nil
}

func loosened[T int32 | int64](field string, asked, has T) error {
	return loosening(field, decimal(asked), decimal(has))
}

func loosening(field, asked, has string) error {
	return &RefusedError{Field: "expectations." + field, Asked: asked, Has: has, problem: "%[1]s would loosen the spider's %[2]s"}
}

func fewerReasons(has *[]string, asked []string) error {
	if len(asked) == 0 {
		return nil
	}
	if len(*has) > 0 {
		for _, reason := range asked {
			if !slices.ContainsFunc(*has, func(entry string) bool { return standsFor(entry, reason) }) {
				return loosening("finishReasons", reason, strings.Join(*has, ", "))
			}
		}
	}
	*has = asked
	return nil
}

// standsFor reports whether one entry of finish reasons matches everything that another one matches.
func standsFor(entry, other string) bool {
	if prefix, open := strings.CutSuffix(entry, "*"); open {
		return strings.HasPrefix(other, prefix)
	}
	return entry == other
}

func fewerFeedFailures(e *v1alpha1.Expectations, asked *int64) error {
	switch allowed := e.MaxFeedFailures(); {
	case asked == nil:
	case *asked > allowed:
		return loosened("feedFailures", *asked, allowed)
	case *asked < allowed:
		e.FeedFailures = asked
	}
	return nil
}

func closerComparison(has **v1alpha1.ComparedToPrevious, asked *v1alpha1.ComparedToPrevious) error {
	const field = "comparedToPrevious."
	if asked == nil {
		return nil
	}
	if *has == nil {
		*has = asked
		return nil
	}
	runs := cmp.Or((*has).Runs, v1alpha1.DefaultPreviousRuns)
	same := (*has).SameArguments == nil || *(*has).SameArguments
	switch {
	case asked.Runs != 0 && asked.Runs != runs:
		return loosened(field+"runs", asked.Runs, runs)
	case asked.SameArguments != nil && *asked.SameArguments != same:
		return loosening(field+"sameArguments", strconv.FormatBool(!same), strconv.FormatBool(same))
	case asked.MinItemsPercent < (*has).MinItemsPercent:
		return loosened(field+"minItemsPercent", asked.MinItemsPercent, (*has).MinItemsPercent)
	}
	(*has).MinItemsPercent = asked.MinItemsPercent
	return nil
}

// stricter replaces a policy by the requested one. The policies are given from the mildest to the strictest, which is the
// default. bound says that the existing one must not become milder.
func stricter[T ~string](field string, has *T, asked T, bound bool, policies ...T) error {
	present := cmp.Or(*has, policies[len(policies)-1])
	switch {
	case asked == "":
		return nil
	case bound && slices.Index(policies, asked) < slices.Index(policies, present):
		return loosening(field, string(asked), string(present))
	}
	*has = asked
	return nil
}
