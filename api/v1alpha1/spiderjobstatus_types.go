package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Phase is the state of a SpiderJob in one word. Finished, Cancelled and Error are terminal: they never change.
//
// +kubebuilder:validation:Enum=Pending;Running;Finished;Cancelled;Error
type Phase string

const (
	// PhasePending means that the spider has not started yet; reason says what it waits for.
	PhasePending Phase = "Pending"
	// PhaseRunning means that the spider's process has started.
	PhaseRunning Phase = "Running"
	// PhaseFinished means that the spider ran to its end.
	PhaseFinished Phase = "Finished"
	// PhaseCancelled means that the job was stopped on request, and that nothing of it runs any more.
	PhaseCancelled Phase = "Cancelled"
	// PhaseError means that the job failed; reason says how.
	PhaseError Phase = "Error"
)

// Terminal reports whether the phase can no longer change.
func (p Phase) Terminal() bool {
	return p == PhaseFinished || p == PhaseCancelled || p == PhaseError
}

// ConditionSucceeded is Unknown until the end. It is then True for a Finished job and False for any other. Its reason and
// message are the job's own.
const ConditionSucceeded = "Succeeded"

// ConditionExpectationsMet is True for a run that met all its expectations, False for one that broke any, and Unknown where
// they could not be judged. A run without expectations has the condition only where items could not be written or delivered.
// A run that has not ended has it only where it has stalled, or is about to end or to be tried again.
const ConditionExpectationsMet = "ExpectationsMet"

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

	// image is the image that the Pod was given.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// imageID identifies the image that ran, usually by its digest.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ImageID string `json:"imageID,omitempty"`
}

// Stop is the decision that the current attempt is over, and what follows. The controller records it before it deletes
// anything, so that after a crash its successor knows why the Job is being deleted.
type Stop struct {
	// jobUID is the UID of the Job that is being stopped. Empty if there is none.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	JobUID string `json:"jobUID,omitempty"`

	// since is when the stop was decided.
	//
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// phase is the verdict on an attempt whose spider has ended while other containers of its Pod still run. It becomes the
	// job's phase when these have ended; nothing that happens meanwhile changes it.
	//
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// reason is why the attempt is stopped. It has the values of the job's own reason.
	//
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`

	// message explains the reason.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// retry says that a new attempt follows once the Job is gone. Without it the job ends.
	//
	// +optional
	Retry bool `json:"retry,omitempty"`
}

// SpiderJobStatus is what is known of a run. Only the controller writes it.
type SpiderJobStatus struct {
	// observedGeneration is the generation of the spec that this status was computed from.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// id is the job's id in the REST API.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=36
	ID string `json:"id,omitempty"`

	// phase is the state in one word: Pending, Running, Finished, Cancelled or Error.
	//
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// reason explains the phase in one machine-readable word.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message explains the phase in a human-readable sentence.
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

	// finishedAt is when it was proven that nothing of the job runs any more.
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

	// attemptFrom is the earliest time at which the current attempt could begin: the proven end of the attempt before, plus the
	// pause. Absent for the first attempt, which may begin when the SpiderJob is created.
	//
	// +optional
	AttemptFrom *metav1.Time `json:"attemptFrom,omitempty"`

	// runningSince is when the controller first saw the process of the current attempt run, by the controller's clock. The
	// timeout counts from it.
	//
	// +optional
	RunningSince *metav1.Time `json:"runningSince,omitempty"`

	// failingSince is when the controller first saw the current attempt fail to start, for a reason that it tolerates for a
	// limited time only.
	//
	// +optional
	FailingSince *metav1.Time `json:"failingSince,omitempty"`

	// attempts is the number of Pods that have been started for the job.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Attempts int32 `json:"attempts,omitempty"`

	// interruptions is the number of attempts that were interrupted: evicted, drained, preempted, lost by their node, or their
	// Pod deleted.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Interruptions int32 `json:"interruptions,omitempty"`

	// failures is the number of attempts that failed and were followed by another: the retries spent so far.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failures int32 `json:"failures,omitempty"`

	// unstarted is the number of attempts in a row that were interrupted before their process had started. Up to ten of them do
	// not count as interruptions.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Unstarted int32 `json:"unstarted,omitempty"`

	// ttlSecondsAfterFinished is how long this object is kept after the end, unless its spec says otherwise. It is taken from
	// the Spider or the operator's configuration when the job ends. 315360000, ten years, keeps the object for ever.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`

	// spider is the Spider as it was when the current attempt began.
	//
	// +optional
	Spider *SpiderSnapshot `json:"spider,omitempty"`

	// stats are the known counts: those of the last attempt, or the sum of all attempts where the Spider's statsAcrossAttempts
	// is Sum.
	//
	// +optional
	Stats *Stats `json:"stats,omitempty"`

	// earlierStats is the sum of the counts of all attempts up to the one it names, where statsAcrossAttempts is Sum. It is
	// included in stats.
	//
	// +optional
	EarlierStats *Stats `json:"earlierStats,omitempty"`

	// violations are the expectations that the run broke. The condition ExpectationsMet says the same in a sentence.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Violations []Violation `json:"violations,omitempty"`

	// comparisonKey identifies the runs that comparedToPrevious compares with each other: those of the same Spider, user and
	// arguments. Only a run that finished with final counts and broke no rule has it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ComparisonKey string `json:"comparisonKey,omitempty"`

	// stop is present from the decision that the current attempt is over until it is proven that nothing of the attempt runs.
	//
	// +optional
	Stop *Stop `json:"stop,omitempty"`
}
