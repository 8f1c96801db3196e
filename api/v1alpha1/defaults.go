package v1alpha1

import "time"

// DefaultPreviousRuns is the number of earlier runs to compare with if comparedToPrevious does not give one.
const DefaultPreviousRuns = 5

// MaxFeedFailures returns how many feeds may fail: 0 by default, also for a run without any expectations. Breaking that
// default is an error whatever onViolation says, since onViolation covers only rules that a Spider or SpiderJob sets.
func (e *Expectations) MaxFeedFailures() int64 {
	if e == nil || e.FeedFailures == nil {
		return 0
	}
	return *e.FeedFailures
}

// CountsFrom returns where the Spider's counts are read from: its statsSource or, without one, Scrapy's log for a spider that
// Scrapy runs and the termination message for one with its own command.
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

// OnOverlap returns what follows when a run is due while an earlier one has not ended: Skip by default.
func (s *SpiderScheduleSpec) OnOverlap() OverlapPolicy {
	if s.Overlap == "" {
		return OverlapSkip
	}
	return s.Overlap
}

// DefaultCatchUpWindow is how late a run may start if catchUp does not say it.
const DefaultCatchUpWindow = 24 * time.Hour

// OnReturn returns what follows when times have passed without a controller, Latest by default, and how late a run may start.
func (s *SpiderScheduleSpec) OnReturn() (policy CatchUpPolicy, window time.Duration) {
	policy, window = CatchUpLatest, DefaultCatchUpWindow
	if c := s.CatchUp; c != nil {
		if c.Policy != "" {
			policy = c.Policy
		}
		if c.WindowSeconds > 0 {
			window = time.Duration(c.WindowSeconds) * time.Second
		}
	}
	return policy, window
}
