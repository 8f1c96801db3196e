package v1alpha1

// Expectations are rules that a run has to meet, beyond exiting with success, to count as a success. They are judged once, at
// the end, from final counts; only noProgressSeconds is watched during the run.
//
// A Spider's rules apply to all its runs. A SpiderJob may add rules and tighten the Spider's, but not loosen them.
//
// +kubebuilder:validation:XValidation:rule="!has(self.onStall) || has(self.noProgressSeconds)",message="onStall needs noProgressSeconds",fieldPath=".onStall"
type Expectations struct {
	// minItems is the least number of items that a run must have scraped.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	MinItems *int64 `json:"minItems,omitempty"`

	// maxErrors is the largest number of errors that a run may have logged.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	MaxErrors *int64 `json:"maxErrors,omitempty"`

	// maxFailedResponsePercent is the largest share of failures, in percent: responses of status 4xx and 5xx and failed
	// downloads, of all responses and failed downloads.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxFailedResponsePercent *int32 `json:"maxFailedResponsePercent,omitempty"`

	// maxDurationSeconds is the longest time that the last attempt may have run. Unlike timeoutSeconds it does not stop a run.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	MaxDurationSeconds *int64 `json:"maxDurationSeconds,omitempty"`

	// finishReasons are the finish reasons that meet the rule; any other breaks it. An entry may end in "*", which stands for
	// any text.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	FinishReasons []string `json:"finishReasons,omitempty"`

	// feedFailures is the largest number of feeds that may have failed to be written or delivered. Defaults to 0: lost data is
	// an error.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	FeedFailures *int64 `json:"feedFailures,omitempty"`

	// comparedToPrevious compares the number of items with earlier runs of the Spider.
	//
	// +optional
	ComparedToPrevious *ComparedToPrevious `json:"comparedToPrevious,omitempty"`

	// noProgressSeconds is how long the counts of a run may stay unchanged. It needs a spider whose log is read.
	//
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=31536000
	NoProgressSeconds *int64 `json:"noProgressSeconds,omitempty"`

	// onStall says what follows if the counts stay unchanged for longer than noProgressSeconds: Stop ends the run as Error,
	// Retry stops the attempt and spends a retry on another one, Report only reports it. Defaults to Stop.
	//
	// +optional
	OnStall StallPolicy `json:"onStall,omitempty"`

	// onViolation says what follows if a run breaks a rule: Error ends the run as Error, Retry first spends a retry on another
	// attempt, Report leaves the run Finished and only reports it. Defaults to Error.
	//
	// +optional
	OnViolation ViolationPolicy `json:"onViolation,omitempty"`

	// requireCounts makes it a violation if no final counts could be read. Without it such a run is not judged.
	//
	// +optional
	RequireCounts bool `json:"requireCounts,omitempty"`
}

// ComparedToPrevious compares a run with the median of earlier runs.
type ComparedToPrevious struct {
	// runs is the number of earlier runs to compare with: the latest ones of the same Spider and user that finished with final
	// counts and broke no rule. With fewer of them nothing is compared. Defaults to 5.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	Runs int32 `json:"runs,omitempty"`

	// minItemsPercent is the least number of items that a run must have scraped, in percent of the median of the earlier runs.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MinItemsPercent int32 `json:"minItemsPercent"`

	// sameArguments restricts the comparison to runs with the same arguments. Defaults to true.
	//
	// +optional
	SameArguments *bool `json:"sameArguments,omitempty"`
}

// Reasons of the condition ExpectationsMet. If it is False, its reason is one of a SpiderJob's own: ReasonExpectationsNotMet,
// ReasonFeedFailed or ReasonStalled.
const (
	// ExpectationsMet goes with True.
	ExpectationsMet = "Met"
	// ExpectationsNotJudged goes with Unknown: the run did not reach an end at which its expectations could be judged.
	ExpectationsNotJudged = "NotJudged"
	// ExpectationsWithoutCounts goes with Unknown: counts that the rules need are missing or not final.
	ExpectationsWithoutCounts = "CountsNotFinal"
	// ExpectationsTooFewRuns goes with Unknown: there are too few earlier runs to compare with.
	ExpectationsTooFewRuns = "TooFewRuns"
)

// The names of the rules, as used in violations.
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

// StallPolicy says what follows if a run makes no progress.
//
// +kubebuilder:validation:Enum=Stop;Retry;Report
type StallPolicy string

const (
	// StallStop ends the run as Error, reason Stalled.
	StallStop StallPolicy = "Stop"
	// StallRetry stops the attempt and, while retries are left, starts another.
	StallRetry StallPolicy = "Retry"
	// StallReport only reports it.
	StallReport StallPolicy = "Report"
)

// ViolationPolicy says what follows if a run breaks a rule.
//
// +kubebuilder:validation:Enum=Error;Retry;Report
type ViolationPolicy string

const (
	// ViolationError ends the run as Error, reason ExpectationsNotMet.
	ViolationError ViolationPolicy = "Error"
	// ViolationRetry starts another attempt while retries are left; after that it acts like ViolationError.
	ViolationRetry ViolationPolicy = "Retry"
	// ViolationReport leaves the run Finished; condition ExpectationsMet is False.
	ViolationReport ViolationPolicy = "Report"
)

// Violation is a rule that a run broke.
type Violation struct {
	// rule is the name of the rule among the expectations, for instance minItems.
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

// AttemptCounting says which attempts the counts of a run cover.
//
// +kubebuilder:validation:Enum=Last;Sum
type AttemptCounting string

const (
	// CountLast counts the last attempt only: each attempt starts from the beginning.
	CountLast AttemptCounting = "Last"
	// CountSum adds up all attempts: each continues where the one before was interrupted, as Scrapy does with JOBDIR.
	CountSum AttemptCounting = "Sum"
)
