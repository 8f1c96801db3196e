package v1alpha1

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
