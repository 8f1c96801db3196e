package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpiderJobSpec describes one run. All of it is immutable except ttlSecondsAfterFinished and cancellation, which may be set once
// and whose grace period may be lowered afterwards.
//
// The rules about immutability stand here and not on the fields: a rule on an optional field does not fire when the field
// is added or removed.
//
// +kubebuilder:validation:XValidation:rule="self.spiderRef == oldSelf.spiderRef",message="spiderRef is immutable",fieldPath=".spiderRef"
// +kubebuilder:validation:XValidation:rule="has(self.arguments) == has(oldSelf.arguments) && (!has(self.arguments) || self.arguments == oldSelf.arguments)",message="arguments is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.settings) == has(oldSelf.settings) && (!has(self.settings) || self.settings == oldSelf.settings)",message="settings is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.timeoutSeconds) == has(oldSelf.timeoutSeconds) && (!has(self.timeoutSeconds) || self.timeoutSeconds == oldSelf.timeoutSeconds)",message="timeoutSeconds is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.startDeadlineSeconds) == has(oldSelf.startDeadlineSeconds) && (!has(self.startDeadlineSeconds) || self.startDeadlineSeconds == oldSelf.startDeadlineSeconds)",message="startDeadlineSeconds is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.expectations) == has(oldSelf.expectations) && (!has(self.expectations) || self.expectations == oldSelf.expectations)",message="expectations is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.retries) == has(oldSelf.retries) && (!has(self.retries) || self.retries == oldSelf.retries)",message="retries is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.userID) == has(oldSelf.userID) && (!has(self.userID) || self.userID == oldSelf.userID)",message="userID is immutable"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancellation) || (has(self.cancellation) && has(self.cancellation.requestedBy) == has(oldSelf.cancellation.requestedBy) && (!has(self.cancellation.requestedBy) || self.cancellation.requestedBy == oldSelf.cancellation.requestedBy) && has(self.cancellation.requestedAt) == has(oldSelf.cancellation.requestedAt) && (!has(self.cancellation.requestedAt) || self.cancellation.requestedAt == oldSelf.cancellation.requestedAt))",message="cancellation can be neither changed nor taken back; only its gracePeriodSeconds may be lowered"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancellation) || !has(oldSelf.cancellation.gracePeriodSeconds) || (has(self.cancellation) && has(self.cancellation.gracePeriodSeconds) && self.cancellation.gracePeriodSeconds <= oldSelf.cancellation.gracePeriodSeconds)",message="gracePeriodSeconds of a cancellation can be lowered, but neither raised nor taken back"
type SpiderJobSpec struct {
	// spiderRef names the Spider to run, in the same namespace.
	//
	// +required
	SpiderRef SpiderReference `json:"spiderRef"`

	// arguments are the spider's arguments: Scrapy's "-a name=value". Names are what that takes: 1 to 256 characters, without
	// '=', without control characters, and without a '-' at the beginning. All names and values together are at most 32 KiB,
	// which the controller checks.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) <= 256 && name.matches('^[^=\\\\p{Cc}-][^=\\\\p{Cc}]*$'))",message="names must have from 1 to 256 characters, without '=', control characters, and a '-' at the beginning"
	Arguments map[string]ArgumentValue `json:"arguments,omitempty"`

	// settings are Scrapy settings for this run, by name. Only those that the Spider's allowedSettings name are accepted.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[A-Z][A-Z0-9_]{0,127}$'))",message="names must be upper-case letters, digits and underscores, at most 128 of them"
	Settings map[string]SettingValue `json:"settings,omitempty"`

	// timeoutSeconds is how long one attempt may run, from the start of the spider's process, at most what the Spider allows.
	// Defaults to the Spider's.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	TimeoutSeconds *int64 `json:"timeoutSeconds,omitempty"`

	// startDeadlineSeconds is how long one attempt may wait for its start (for admission, quota, a node, an image, a volume),
	// at most what the Spider allows. It stands still while a queue suspends the Job. Defaults to the Spider's.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	StartDeadlineSeconds *int64 `json:"startDeadlineSeconds,omitempty"`

	// expectations are rules for this run, besides the Spider's. They may tighten the Spider's, not loosen them.
	//
	// +optional
	Expectations *Expectations `json:"expectations,omitempty"`

	// retries is how often a failed run is tried again, at most what the Spider allows. Defaults to the Spider's.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Retries *int32 `json:"retries,omitempty"`

	// ttlSecondsAfterFinished is how long this object is kept after the end. Defaults to the Spider's. May be changed at any
	// time. Ten years, 315360000, is for ever.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`

	// userID is the REST user the job belongs to. When it is absent that is the namespace itself.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	UserID string `json:"userID,omitempty"`

	// cancellation is the request to stop the job. It may be set once, even to {}, and cannot be taken back; its
	// gracePeriodSeconds may be lowered, or set if absent. It changes nothing in a job that has ended.
	//
	// +optional
	Cancellation *Cancellation `json:"cancellation,omitempty"`
}

// ArgumentValue is the value of one spider argument, handed to the spider to the byte.
//
// +kubebuilder:validation:MaxLength=32768
// +kubebuilder:validation:Pattern=`^[^\x00]*$`
type ArgumentValue string

// SpiderReference names a Spider.
type SpiderReference struct {
	// name is the metadata.name of a Spider in the same namespace.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
}

// Cancellation says who asked for a job to be stopped, when, and how gently.
type Cancellation struct {
	// requestedBy says who asked, for people.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	RequestedBy string `json:"requestedBy,omitempty"`

	// requestedAt is when it was asked.
	//
	// +optional
	RequestedAt *metav1.Time `json:"requestedAt,omitempty"`

	// gracePeriodSeconds is how long the spider has to close before it is killed. Defaults to the Spider's. 0 means 1, as in
	// kubectl: a Pod deleted with 0 would be forgotten, whether or not its node has stopped it.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds,omitempty"`
}

// Phase sums a SpiderJob's state up in one word. Finished, Cancelled and Error are terminal: they never change.
//
// +kubebuilder:validation:Enum=Pending;Running;Finished;Cancelled;Error
type Phase string

const (
	// PhasePending says that the spider has not started yet; reason says what it waits for.
	PhasePending Phase = "Pending"
	// PhaseRunning says that the spider's process has started.
	PhaseRunning Phase = "Running"
	// PhaseFinished says that the spider ran to its end.
	PhaseFinished Phase = "Finished"
	// PhaseCancelled says that the job was stopped on request, and that nothing of it runs any more.
	PhaseCancelled Phase = "Cancelled"
	// PhaseError says that the job failed; reason says how.
	PhaseError Phase = "Error"
)

// Terminal reports whether the phase is one that never changes any more.
func (p Phase) Terminal() bool {
	return p == PhaseFinished || p == PhaseCancelled || p == PhaseError
}

// ConditionSucceeded is Unknown until the end, then True for a Finished job and False for any other. Its reason and message
// are the job's own.
const ConditionSucceeded = "Succeeded"

// ConditionExpectationsMet is True for a run that kept all its expectations, False for one that broke any, and Unknown where they
// could not be judged. A run without expectations has it only where items could not be written or delivered. A run that has not
// ended has it only where it has stalled, or is about to end or to be tried again.
const ConditionExpectationsMet = "ExpectationsMet"

// Stats is what is known of a run's counts.
type Stats struct {
	// itemsScraped is the number of items scraped.
	//
	// +required
	// +kubebuilder:validation:Minimum=0
	ItemsScraped int64 `json:"itemsScraped"`

	// responses is the number of responses received.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses *int64 `json:"responses,omitempty"`

	// requests is the number of requests sent.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Requests *int64 `json:"requests,omitempty"`

	// errors is the number of errors logged.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Errors *int64 `json:"errors,omitempty"`

	// requestRetries is the number of requests that were sent again after a failure.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	RequestRetries *int64 `json:"requestRetries,omitempty"`

	// failedRequests is the number of downloads that ended in an error instead of a response, each try by itself.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	FailedRequests *int64 `json:"failedRequests,omitempty"`

	// responses2xx is the number of responses with a status from 200 to 299.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses2xx *int64 `json:"responses2xx,omitempty"`

	// responses3xx is the number of responses with a status from 300 to 399.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses3xx *int64 `json:"responses3xx,omitempty"`

	// responses4xx is the number of responses with a status from 400 to 499.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses4xx *int64 `json:"responses4xx,omitempty"`

	// responses5xx is the number of responses with a status from 500 to 599.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Responses5xx *int64 `json:"responses5xx,omitempty"`

	// itemsDropped is the number of items that the spider's own pipelines dropped.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	ItemsDropped *int64 `json:"itemsDropped,omitempty"`

	// feedFailures is the number of feeds that could not be written or delivered.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	FeedFailures *int64 `json:"feedFailures,omitempty"`

	// peakMemoryBytes is the most memory that the process has used, as it measured itself.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	PeakMemoryBytes *int64 `json:"peakMemoryBytes,omitempty"`

	// elapsedSeconds is how long the crawl took, in whole seconds.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	ElapsedSeconds *int64 `json:"elapsedSeconds,omitempty"`

	// finishReason is why the spider closed, in its own word.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	FinishReason string `json:"finishReason,omitempty"`

	// source is what the counts were read from. None says that nothing could be read, which is not the same as zero.
	//
	// +required
	Source StatsOrigin `json:"source"`

	// attempt is the attempt that was counted, from 1.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Attempt int32 `json:"attempt,omitempty"`

	// observedAt is when the counts were read.
	//
	// +optional
	ObservedAt *metav1.Time `json:"observedAt,omitempty"`

	// final says that the spider itself gave these counts when it closed. Counts of a job that has ended and that are not
	// final are the last ones known.
	//
	// +optional
	Final bool `json:"final,omitempty"`
}

// StatsOrigin says what counts were read from.
//
// +kubebuilder:validation:Enum=TerminationMessage;ScrapyStats;ScrapyLog;None
type StatsOrigin string

const (
	// OriginTerminationMessage is a JSON termination message.
	OriginTerminationMessage StatsOrigin = "TerminationMessage"
	// OriginScrapyStats is the stats that Scrapy dumps into its log when it closes.
	OriginScrapyStats StatsOrigin = "ScrapyStats"
	// OriginScrapyLog is Scrapy's periodic progress line.
	OriginScrapyLog StatsOrigin = "ScrapyLog"
	// OriginNone says that nothing could be read.
	OriginNone StatsOrigin = "None"
)

// SpiderSnapshot is the Spider as it was when the current attempt began.
type SpiderSnapshot struct {
	// name is the spider's name as Scrapy and the REST API know it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`

	// repoPath is the spider's file in the image.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	RepoPath string `json:"repoPath,omitempty"`

	// image is the image the Pod was given.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// imageID identifies, usually by its digest, the image that was run.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ImageID string `json:"imageID,omitempty"`
}

// Stop is the decision that the current attempt is over, and what follows it. It is recorded before anything is deleted, so
// that whoever comes after a crash knows why the Job is going.
type Stop struct {
	// jobUID is the UID of the Job that is being stopped, empty where there was none.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	JobUID string `json:"jobUID,omitempty"`

	// since is when it was decided.
	//
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// phase is the verdict on an attempt whose spider has ended while other containers of its Pod still run: it is written when
	// these have ended, and nothing that happens meanwhile changes it.
	//
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// reason is why, in the words of the job's own reason.
	//
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`

	// message explains the reason.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// retry says that a new attempt follows once the Job is gone, and not the end.
	//
	// +optional
	Retry bool `json:"retry,omitempty"`
}

// SpiderJobStatus is what is known of a run. Only the controller writes it.
type SpiderJobStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// id is the job's id in the REST API.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=36
	ID string `json:"id,omitempty"`

	// phase sums the state up: Pending, Running, Finished, Cancelled or Error.
	//
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// reason explains the phase in one word for programs.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message explains the phase in a sentence for people.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// conditions holds Succeeded (Unknown until the end, then True or False) and, where the run has expectations,
	// ExpectationsMet.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// startedAt is when the spider's process first started.
	//
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`

	// finishedAt is when the end was proven: nothing of the job runs any more.
	//
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`

	// duration is the time from startedAt to finishedAt, as in 1m30s.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Duration string `json:"duration,omitempty"`

	// exitCode is the exit code of the spider's process in the last attempt.
	//
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`

	// jobUID is the UID of the Job of the current attempt.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	JobUID string `json:"jobUID,omitempty"`

	// podName is the name of the last attempt's Pod.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PodName string `json:"podName,omitempty"`

	// podUID is the UID of the last attempt's Pod.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PodUID string `json:"podUID,omitempty"`

	// attemptFrom is the earliest that the current attempt could begin: the proven end of the one before, and the pause after
	// it. Absent for the first attempt, which may begin at the creation.
	//
	// +optional
	AttemptFrom *metav1.Time `json:"attemptFrom,omitempty"`

	// runningSince is when the controller first saw the current attempt's process run, by its own clock. The timeout counts
	// from it.
	//
	// +optional
	RunningSince *metav1.Time `json:"runningSince,omitempty"`

	// failingSince is when the start of the current attempt was first seen to fail, for a reason that patience is limited with.
	//
	// +optional
	FailingSince *metav1.Time `json:"failingSince,omitempty"`

	// attempts is how many Pods have been started for the job.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Attempts int32 `json:"attempts,omitempty"`

	// interruptions is how many attempts were interrupted: evicted, drained, preempted, lost by their node, or their Pod
	// deleted.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Interruptions int32 `json:"interruptions,omitempty"`

	// failures is how many attempts have failed and were followed by another: the retries that are spent.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failures int32 `json:"failures,omitempty"`

	// unstarted is how many attempts in a row were interrupted before their process had started. Up to ten of them are not
	// counted as interruptions.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Unstarted int32 `json:"unstarted,omitempty"`

	// ttlSecondsAfterFinished is how long this object is kept after the end unless its spec says otherwise, as Spider and
	// operator had it at the end. Ten years, 315360000, is for ever.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`

	// spider is the Spider as it was when the current attempt began.
	//
	// +optional
	Spider *SpiderSnapshot `json:"spider,omitempty"`

	// stats is what is known of the counts: the last attempt's, or those of all attempts where the Spider's
	// statsAcrossAttempts is Sum.
	//
	// +optional
	Stats *Stats `json:"stats,omitempty"`

	// earlierStats is the sum of the counts of all attempts up to its own attempt, where statsAcrossAttempts is Sum. It is
	// part of stats.
	//
	// +optional
	EarlierStats *Stats `json:"earlierStats,omitempty"`

	// violations are the expectations that the run has broken. Condition ExpectationsMet says the same in a sentence.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Violations []Violation `json:"violations,omitempty"`

	// comparisonKey stands for the runs that comparedToPrevious compares with each other: those of the same Spider, user and
	// arguments. Only a run that finished with final counts and broke no rule has it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ComparisonKey string `json:"comparisonKey,omitempty"`

	// stop is present from the decision that the current attempt is over until it is proven that nothing of it runs.
	//
	// +optional
	Stop *Stop `json:"stop,omitempty"`
}

// SpiderJob is one run of a Spider with arguments. Deleting a running SpiderJob stops it, and its record is gone with it;
// to stop it and keep the record, set spec.cancellation.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=sj,categories=scrapethis
// +kubebuilder:selectablefield:JSONPath=`.spec.spiderRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.userID`
// +kubebuilder:printcolumn:name="Spider",type=string,JSONPath=`.spec.spiderRef.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Items",type=integer,JSONPath=`.status.stats.itemsScraped`
// +kubebuilder:printcolumn:name="Started",type=date,JSONPath=`.status.startedAt`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.status.duration`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Expectations",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="ExpectationsMet")].status`
// +kubebuilder:printcolumn:name="Attempts",type=integer,priority=1,JSONPath=`.status.attempts`
// +kubebuilder:printcolumn:name="User",type=string,priority=1,JSONPath=`.spec.userID`
// +kubebuilder:printcolumn:name="Pod",type=string,priority=1,JSONPath=`.status.podName`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type SpiderJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec describes the run. It is immutable except for ttlSecondsAfterFinished and cancellation, which can be set once and
	// its grace period lowered.
	//
	// +required
	Spec SpiderJobSpec `json:"spec"`

	// status is what is known of the run.
	//
	// +optional
	// +kubebuilder:default={phase: Pending}
	Status SpiderJobStatus `json:"status,omitempty"`
}

// SpiderJobList is a list of SpiderJobs.
//
// +kubebuilder:object:root=true
type SpiderJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpiderJob `json:"items"`
}
