package v1alpha1

// Expectations are the rules by which a run that its process calls a success is still judged. They are judged once, at the
// end, from final counts; only noProgressSeconds is watched while the run lasts.
//
// A Spider's rules are those of all its runs. A SpiderJob may add rules and tighten the Spider's, never loosen them.
//
// +kubebuilder:validation:XValidation:rule="!has(self.onStall) || has(self.noProgressSeconds)",message="onStall needs noProgressSeconds",fieldPath=".onStall"
type Expectations struct {
	// minItems is the fewest items that a run must have scraped.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	MinItems *int64 `json:"minItems,omitempty"`

	// maxErrors is the most errors that a run may have logged.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	MaxErrors *int64 `json:"maxErrors,omitempty"`

	// maxFailedResponsePercent is the largest share of failures among the answers, in percent: responses of status 4xx and 5xx
	// and downloads that failed, of all responses and failed downloads.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxFailedResponsePercent *int32 `json:"maxFailedResponsePercent,omitempty"`

	// maxDurationSeconds is the longest that the last attempt may have run. Unlike timeoutSeconds it stops nothing.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	MaxDurationSeconds *int64 `json:"maxDurationSeconds,omitempty"`

	// finishReasons are the finish reasons that are as expected; any other breaks the rule. An entry may end in "*", which
	// stands for any text.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	FinishReasons []string `json:"finishReasons,omitempty"`

	// feedFailures is the most feeds that may have failed to be written or delivered. Defaults to 0: lost data is an error.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	FeedFailures *int64 `json:"feedFailures,omitempty"`

	// comparedToPrevious compares the items with those of the Spider's earlier runs.
	//
	// +optional
	ComparedToPrevious *ComparedToPrevious `json:"comparedToPrevious,omitempty"`

	// noProgressSeconds is how long a run's counts may stand still. Needs a spider whose log is read.
	//
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=31536000
	NoProgressSeconds *int64 `json:"noProgressSeconds,omitempty"`

	// onStall says what follows when they stood still for so long: Stop ends the run as Error, Retry stops the attempt and
	// spends a retry on another, Report only says so. Defaults to Stop.
	//
	// +optional
	OnStall StallPolicy `json:"onStall,omitempty"`

	// onViolation says what follows when a rule is broken: Error ends the run as Error, Retry spends a retry on another
	// attempt first, Report leaves the run Finished and only says so. Defaults to Error.
	//
	// +optional
	OnViolation ViolationPolicy `json:"onViolation,omitempty"`

	// requireCounts makes a run of which no final counts could be read break its rules. Without it such a run is not judged.
	//
	// +optional
	RequireCounts bool `json:"requireCounts,omitempty"`
}

// ComparedToPrevious compares a run with the median of earlier ones.
type ComparedToPrevious struct {
	// runs is how many earlier runs are looked at: the last ones of the same Spider and user that finished with final counts
	// and broke no rule. With fewer of them there is no comparison. Defaults to 5.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	Runs int32 `json:"runs,omitempty"`

	// minItemsPercent is how many items, in percent of the median of the earlier runs, a run must have scraped.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinItemsPercent int32 `json:"minItemsPercent"`

	// sameArguments compares only with runs of the same arguments. Defaults to true.
	//
	// +optional
	SameArguments *bool `json:"sameArguments,omitempty"`
}

// Reasons of condition ExpectationsMet. Where it is False its reason is one of a SpiderJob's own: ReasonExpectationsNotMet,
// ReasonFeedFailed or ReasonStalled.
const (
	// ExpectationsMet is of True.
	ExpectationsMet = "Met"
	// ExpectationsNotJudged is of Unknown: the run did not come to an end at which they could be judged.
	ExpectationsNotJudged = "NotJudged"
	// ExpectationsWithoutCounts is of Unknown: counts that rules need are missing, or are not final.
	ExpectationsWithoutCounts = "CountsNotFinal"
	// ExpectationsTooFewRuns is of Unknown: there are too few earlier runs to compare with.
	ExpectationsTooFewRuns = "TooFewRuns"
)

// The names of the rules, as violations tell them.
const (
	RuleMinItems                 = "minItems"
	RuleMaxErrors                = "maxErrors"
	RuleMaxFailedResponsePercent = "maxFailedResponsePercent"
	RuleMaxDurationSeconds       = "maxDurationSeconds"
	RuleFinishReasons            = "finishReasons"
	RuleFeedFailures             = "feedFailures"
	RuleComparedToPrevious       = "comparedToPrevious"
	RuleNoProgressSeconds        = "noProgressSeconds"
	RuleRequireCounts            = "requireCounts"
)

// StallPolicy says what follows when a run makes no progress.
//
// +kubebuilder:validation:Enum=Stop;Retry;Report
type StallPolicy string

const (
	// StallStop ends the run as Error, reason Stalled.
	StallStop StallPolicy = "Stop"
	// StallRetry stops the attempt and, while retries are left, starts another.
	StallRetry StallPolicy = "Retry"
	// StallReport only says so.
	StallReport StallPolicy = "Report"
)

// ViolationPolicy says what follows when a run breaks a rule.
//
// +kubebuilder:validation:Enum=Error;Retry;Report
type ViolationPolicy string

const (
	// ViolationError ends the run as Error, reason ExpectationsNotMet.
	ViolationError ViolationPolicy = "Error"
	// ViolationRetry starts another attempt while retries are left, then is as ViolationError.
	ViolationRetry ViolationPolicy = "Retry"
	// ViolationReport leaves the run Finished; condition ExpectationsMet is False.
	ViolationReport ViolationPolicy = "Report"
)

// Violation is a rule that a run has broken.
type Violation struct {
	// rule is the rule's name among the expectations, as in minItems.
	//
	// +required
	// +kubebuilder:validation:MaxLength=64
	Rule string `json:"rule"`

	// expected is what the rule asks for, as text.
	//
	// +required
	// +kubebuilder:validation:MaxLength=256
	Expected string `json:"expected"`

	// actual is what the run had instead, as text.
	//
	// +required
	// +kubebuilder:validation:MaxLength=256
	Actual string `json:"actual"`
}

// AttemptCounting says which attempts a run's counts speak of.
//
// +kubebuilder:validation:Enum=Last;Sum
type AttemptCounting string

const (
	// CountLast counts the last attempt alone: each begins anew.
	CountLast AttemptCounting = "Last"
	// CountSum adds up all attempts: each goes on where the one before was interrupted, as Scrapy does with JOBDIR.
	CountSum AttemptCounting = "Sum"
)
