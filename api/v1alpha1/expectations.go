package v1alpha1

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DefaultPreviousRuns is how many earlier runs are looked at where comparedToPrevious does not say.
const DefaultPreviousRuns = 5

// MaxFeedFailures returns how many feeds may fail: 0 where nobody says, also for a run without any expectations. That default is
// an error whatever onViolation says, which rules only what a Spider or SpiderJob sets.
func (e *Expectations) MaxFeedFailures() int64 {
	if e == nil || e.FeedFailures == nil {
		return 0
	}
	return *e.FeedFailures
}

// LoosenedError says that a SpiderJob asks for less than its Spider does.
//
// +kubebuilder:object:generate=false
type LoosenedError struct {
	// Field is the rule's path among the expectations, as in comparedToPrevious.runs.
	Field string
	// Asked is what the SpiderJob asks for, and Has what the Spider does, as text.
	Asked, Has string
}

func (e *LoosenedError) Error() string {
	return fmt.Sprintf("expectations.%s %s would loosen the Spider's %s", e.Field, e.Asked, e.Has)
}

// Tightened returns the rules of a run whose Spider has e and whose SpiderJob has by; each may be nil. The result shares
// nothing with either. The error is a *LoosenedError where by would loosen a rule of e. What by leaves out is as e has it.
//
//   - A bound may only come nearer, and a finish reason only be left out. A reason that is named must be one that an entry of
//     the Spider's stands for.
//   - feedFailures is 0 where the Spider names none: every run loses data for an error, unless its Spider allows more. A
//     SpiderJob that repeats that default changes nothing, so that its onViolation does not come to rule what was an error
//     without it.
//   - Of comparedToPrevious minItemsPercent may rise. runs and sameArguments make another comparison, neither stricter nor
//     looser, so they may not differ.
//   - onStall and onViolation may become stricter: Stop or Error before Retry before Report. They are free where the Spider has
//     nothing that they would rule.
//   - requireCounts may be added; false is as if absent.
func (e *Expectations) Tightened(by *Expectations) (*Expectations, error) {
	if by == nil {
		return e.DeepCopy(), nil
	}
	if e == nil {
		e = &Expectations{}
	}
	result, asked := e.DeepCopy(), by.DeepCopy()
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
		func() error { return result.fewerFeedFailures(asked.FeedFailures) },
		func() error { return closerComparison(&result.ComparedToPrevious, asked.ComparedToPrevious) },
		func() error { return atMost("noProgressSeconds", &result.NoProgressSeconds, asked.NoProgressSeconds) },
		func() error {
			bound := e.OnStall != "" || e.NoProgressSeconds != nil
			return stricter("onStall", &result.OnStall, asked.OnStall, bound, StallReport, StallRetry, StallStop)
		},
		func() error {
			bound := e.OnViolation != "" || e.judges()
			return stricter("onViolation", &result.OnViolation, asked.OnViolation, bound, ViolationReport, ViolationRetry, ViolationError)
		},
	} {
		if err := tighten(); err != nil {
			return nil, err
		}
	}
	result.RequireCounts = e.RequireCounts || by.RequireCounts
	return result, nil
}

// judges reports whether there is anything that onViolation rules.
func (e *Expectations) judges() bool {
	return e.MinItems != nil || e.MaxErrors != nil || e.MaxFailedResponsePercent != nil || e.MaxDurationSeconds != nil ||
		len(e.FinishReasons) > 0 || e.FeedFailures != nil || e.ComparedToPrevious != nil || e.RequireCounts
}

func atLeast[T int32 | int64](field string, has **T, asked *T) error {
	return nearer(field, has, asked, func(asked, has T) bool { return asked >= has })
}

func atMost[T int32 | int64](field string, has **T, asked *T) error {
	return nearer(field, has, asked, func(asked, has T) bool { return asked <= has })
}

// nearer puts a bound that is asked for into the place of the one there is, if there is none or it holds that, too.
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
	return &LoosenedError{Field: field, Asked: strconv.FormatInt(int64(asked), 10), Has: strconv.FormatInt(int64(has), 10)}
}

func fewerReasons(has *[]string, asked []string) error {
	if len(asked) == 0 {
		return nil
	}
	if len(*has) > 0 {
		for _, reason := range asked {
			if !slices.ContainsFunc(*has, func(entry string) bool { return standsFor(entry, reason) }) {
				return &LoosenedError{Field: "finishReasons", Asked: reason, Has: strings.Join(*has, ", ")}
			}
		}
	}
	*has = asked
	return nil
}

// standsFor reports whether an entry of finish reasons stands for whatever another one does.
func standsFor(entry, other string) bool {
	if prefix, open := strings.CutSuffix(entry, "*"); open {
		return strings.HasPrefix(other, prefix)
	}
	return entry == other
}

func (e *Expectations) fewerFeedFailures(asked *int64) error {
	switch allowed := e.MaxFeedFailures(); {
	case asked == nil:
	case *asked > allowed:
		return loosened("feedFailures", *asked, allowed)
	case *asked < allowed:
		e.FeedFailures = asked
	}
	return nil
}

func closerComparison(has **ComparedToPrevious, asked *ComparedToPrevious) error {
	const field = "comparedToPrevious."
	if asked == nil {
		return nil
	}
	if *has == nil {
		*has = asked
		return nil
	}
	runs := cmp.Or((*has).Runs, DefaultPreviousRuns)
	same := (*has).SameArguments == nil || *(*has).SameArguments
	switch {
	case asked.Runs != 0 && asked.Runs != runs:
		return loosened(field+"runs", asked.Runs, runs)
	case asked.SameArguments != nil && *asked.SameArguments != same:
		return &LoosenedError{
			Field: field + "sameArguments", Asked: strconv.FormatBool(!same), Has: strconv.FormatBool(same),
		}
	case asked.MinItemsPercent < (*has).MinItemsPercent:
		return loosened(field+"minItemsPercent", asked.MinItemsPercent, (*has).MinItemsPercent)
	}
	(*has).MinItemsPercent = asked.MinItemsPercent
	return nil
}

// stricter puts a policy that is asked for into the place of the one there is. The policies are given from the mildest to the
// strictest, which is the default. bound says that the one there is must not become milder.
func stricter[T ~string](field string, has *T, asked T, bound bool, policies ...T) error {
	present := cmp.Or(*has, policies[len(policies)-1])
	switch {
	case asked == "":
		return nil
	case bound && slices.Index(policies, asked) < slices.Index(policies, present):
		return &LoosenedError{Field: field, Asked: string(asked), Has: string(present)}
	}
	*has = asked
	return nil
}

// CountsFrom returns where the Spider's counts are read from: its statsSource or, where it has none, Scrapy's log for a spider
// that Scrapy runs, and the termination message for one with a command of its own.
func (s *SpiderSpec) CountsFrom() StatsSource {
	switch {
	case s.StatsSource != "":
		return s.StatsSource
	case len(s.Command) > 0:
		return StatsFromTerminationMessage
	default:
		return StatsFromScrapy
	}
}
