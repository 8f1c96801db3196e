// Package allowed has the bounds of every field that not only its schema checks, and what a Spider allows its runs. The
// controller and the REST API share it, so that both give the same answer for the same run.
//
// The bounds are those of the definitions and of the REST contract; a test compares them. The definitions count characters, and
// so does this package, except where it says bytes.
package allowed

import (
	"regexp"
	"time"
)

// The bounds of a run.
const (
	// MaxArguments bounds the arguments of a run, and MaxArgumentName the characters in the name of one.
	MaxArguments    = 128
	MaxArgumentName = 256
	// MaxArgumentsBytes bounds the bytes in all names and values of a run's arguments together.
	MaxArgumentsBytes = 32 << 10
	// KeptArgumentsBytes bounds the bytes of a run's arguments that a process keeps in memory. Most runs have no more. Longer
	// ones would take most of its memory, and callers could exhaust it with them, so they are read live when needed.
	KeptArgumentsBytes = 256
	// MaxSettings bounds the settings of a Spider or a run, MaxSettingName the characters in the name of one, and MaxSettingValue
	// in its value.
	MaxSettings     = 64
	MaxSettingName  = 128
	MaxSettingValue = 4096
	// MaxTimeoutSeconds is the longest timeout, and MaxStartDeadlineSeconds the latest start deadline.
	MaxTimeoutSeconds       = year
	MaxStartDeadlineSeconds = year
	// MaxWaitSeconds is the longest time that a job may wait for its admission, where that is limited.
	MaxWaitSeconds = year
	// MaxRetries bounds the retries.
	MaxRetries = 100
	// MaxGraceSeconds is the longest grace period.
	MaxGraceSeconds = day
	// MaxTTLSeconds is the longest retention of a SpiderJob after its end; it means forever.
	MaxTTLSeconds = 10 * year
)

// The bounds of what is noted about a run.
const (
	// MaxTags bounds the tags of a run, a Spider or a SpiderSchedule, and maxTag the characters in one.
	MaxTags = 16
	maxTag  = 63
	// MaxNoteBytes bounds a note.
	MaxNoteBytes = 1 << 10
)

// The bounds of Expectations.
const (
	// MaxCount bounds the bounds of counts: beyond it a JSON number is not exact everywhere.
	MaxCount = 1 << 53
	// MaxPercent bounds a percentage.
	MaxPercent = 100
	// MaxExpectedSeconds is the longest time in a rule, and MinNoProgressSeconds the shortest time without progress.
	MaxExpectedSeconds   = year
	MinNoProgressSeconds = 60
	// MaxFinishReasons bounds the finish reasons in a rule, and MaxFinishReason the characters in one.
	MaxFinishReasons = 32
	MaxFinishReason  = 128
	// MaxPreviousRuns bounds the earlier runs to compare with, and MaxPreviousPercent the percentage of their items that may be
	// required.
	MaxPreviousRuns    = 20
	MaxPreviousPercent = 1000
)

// The bounds of a Spider, in characters.
const (
	MaxSpiderName  = 128
	MaxRepoPath    = 512
	MaxDescription = 1024
)

// The bounds of a SpiderSchedule.
const (
	MaxDisplayName = 128 // characters
	// MaxJitterSeconds is the longest delay of a run.
	MaxJitterSeconds = hour
	// MaxCatchUpSeconds is the longest time after which a run may still start.
	MaxCatchUpSeconds = year
	// MaxPauseAfterFailures bounds the number of failures in a row after which a schedule is paused.
	MaxPauseAfterFailures = 1000
	// MaxActiveRuns bounds the unfinished runs that a schedule keeps in its status.
	MaxActiveRuns = 100
)

// The bounds of a SpiderJob's status, in characters. The controller truncates what is longer.
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
	hour = int64(time.Hour / time.Second)
	day  = 24 * hour
	year = 365 * day
)

// The patterns of names and paths, the same as in the definitions and the contract.
var (
	// ArgumentName matches the names that Scrapy's "-a name=value" accepts.
	ArgumentName = regexp.MustCompile(`^[^=\p{Cc}-][^=\p{Cc}]*$`)
	// SettingName matches the name of a setting, with its length.
	SettingName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,127}$`)
	// SpiderName matches a Spider's name, which also must not consist of blanks.
	SpiderName = regexp.MustCompile(`^[^\-\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$`)
	// Tag matches a tag, with its length: the name of a label, since that is what tags become.
	Tag = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	// RepoPath matches a spider's file, which also must not leave the project by "..".
	RepoPath = regexp.MustCompile(`^[^/\-\x00-\x1f\x7f][^\x00-\x1f\x7f]*$`)
)
