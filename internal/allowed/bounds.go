// Package allowed holds what may be asked for: the bounds of every field that more than its schema knows, and what a Spider
// allows its runs. The controller and the REST API share it, so that both say the same of the same run.
//
// The bounds are those of the definitions and of the REST contract, which a test compares. The definitions count characters; so
// does this package, except where it says bytes.
package allowed

import (
	"regexp"
	"time"
)

// The bounds of a run.
const (
	// MaxArguments is the most arguments of a run, and MaxArgumentName the most characters in the name of one.
	MaxArguments    = 128
	MaxArgumentName = 256
	// MaxArgumentsBytes is the most bytes in all names and values of a run's arguments together.
	MaxArgumentsBytes = 32 << 10
	// KeptArgumentsBytes is the most bytes of a run's arguments that a process keeps in memory. Most runs have no more; longer ones
	// would be most of what it takes, and callers could fill it with them, so that they are read live where they are needed.
	KeptArgumentsBytes = 256
	// MaxSettings is the most settings of a Spider or a run, MaxSettingName the most characters in the name of one, and
	// MaxSettingValue in its value.
	MaxSettings     = 64
	MaxSettingName  = 128
	MaxSettingValue = 4096
	// MaxTimeoutSeconds is the longest timeout, and MaxStartDeadlineSeconds the latest start deadline.
	MaxTimeoutSeconds       = year
	MaxStartDeadlineSeconds = year
	// MaxRetries is the most retries.
	MaxRetries = 100
	// MaxGraceSeconds is the longest grace period.
	MaxGraceSeconds = day
	// MaxTTLSeconds is the longest that a SpiderJob is kept after its end: for ever.
	MaxTTLSeconds = 10 * year
)

// The bounds of Expectations.
const (
	// MaxCount is the most that a count may be bounded by: beyond it a JSON number is not exact everywhere.
	MaxCount = 1 << 53
	// MaxPercent bounds a share of a whole.
	MaxPercent = 100
	// MaxExpectedSeconds is the longest time in a rule, and MinNoProgressSeconds the shortest in which nothing may happen.
	MaxExpectedSeconds   = year
	MinNoProgressSeconds = 60
	// MaxFinishReasons is the most finish reasons that a rule may name, and MaxFinishReason the most characters in one.
	MaxFinishReasons = 32
	MaxFinishReason  = 128
	// MaxPreviousRuns is the most earlier runs that one is compared with, and MaxPreviousPercent the most that it may be held
	// to have in percent of them.
	MaxPreviousRuns    = 20
	MaxPreviousPercent = 1000
)

// The bounds of a Spider, in characters.
const (
	MaxSpiderName  = 128
	MaxRepoPath    = 512
	MaxDescription = 1024
)

// The bounds of a SpiderJob's status, in characters. The controller cuts off what is longer.
const (
	MaxReason        = 64
	MaxMessage       = 1024
	MaxImage         = 512
	MaxImageID       = 1024
	MaxViolations    = 16 // violations, not characters
	MaxViolationText = 256
	MaxComparisonKey = 64
)

const (
	day  = int64(24 * time.Hour / time.Second)
	year = 365 * day
)

// The forms of names and paths. The definitions and the contract have the same.
var (
	// ArgumentName is what Scrapy's "-a name=value" takes.
	ArgumentName = regexp.MustCompile(`^[^=\p{Cc}-][^=\p{Cc}]*$`)
	// SettingName is the name of a setting, with its length.
	SettingName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,127}$`)
	// SpiderName is a Spider's name, which also must not consist of blanks.
	SpiderName = regexp.MustCompile(`^[^\-\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$`)
	// RepoPath is a spider's file, which also must not lead out of the project by "..".
	RepoPath = regexp.MustCompile(`^[^/\-\x00-\x1f\x7f][^\x00-\x1f\x7f]*$`)
)
