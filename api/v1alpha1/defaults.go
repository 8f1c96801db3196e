package v1alpha1

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
