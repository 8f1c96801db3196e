package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
