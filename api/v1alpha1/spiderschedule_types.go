package v1alpha1

import (
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OverlapPolicy says what follows when a run is due while an earlier run of its schedule has not ended.
//
// +kubebuilder:validation:Enum=Skip;Queue;Replace;Allow
type OverlapPolicy string

const (
	// OverlapSkip leaves the run out.
	OverlapSkip OverlapPolicy = "Skip"
	// OverlapQueue starts the run when the earlier one has ended. One run waits at most; those that are due meanwhile are left out.
	OverlapQueue OverlapPolicy = "Queue"
	// OverlapReplace cancels the earlier run, and starts the newest due one when nothing of it runs any more.
	OverlapReplace OverlapPolicy = "Replace"
	// OverlapAllow starts the run beside the earlier one.
	OverlapAllow OverlapPolicy = "Allow"
)

// CatchUpPolicy says what follows when times have passed at which no controller was there to start a run.
//
// +kubebuilder:validation:Enum=Latest;All;None
type CatchUpPolicy string

const (
	// CatchUpLatest starts one run, for the latest of these times.
	CatchUpLatest CatchUpPolicy = "Latest"
	// CatchUpAll starts a run for each of these times, but not more than 100: the latest ones, in order.
	CatchUpAll CatchUpPolicy = "All"
	// CatchUpNone starts no run that is more than two minutes late.
	CatchUpNone CatchUpPolicy = "None"
)

// CatchUp says what follows when times have passed at which no controller was there to start a run.
type CatchUp struct {
	// policy is Latest (one run, for the latest of these times; the default), All (a run for each, but not more than 100; needs
	// overlap Allow) or None (no run that is more than two minutes late).
	//
	// +optional
	Policy CatchUpPolicy `json:"policy,omitempty"`

	// windowSeconds is how late a run may start. Defaults to 86400, a day.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	WindowSeconds int64 `json:"windowSeconds,omitempty"`
}

// SpiderScheduleSpec says when a Spider is run, and with what.
//
// +kubebuilder:validation:XValidation:rule="has(self.userID) == has(oldSelf.userID) && (!has(self.userID) || self.userID == oldSelf.userID)",message="userID is immutable"
// +kubebuilder:validation:XValidation:rule="!has(self.catchUp) || !has(self.catchUp.policy) || self.catchUp.policy != 'All' || (has(self.overlap) && self.overlap == 'Allow')",message="policy All needs overlap Allow",fieldPath=".catchUp"
// +kubebuilder:validation:XValidation:rule="!has(self.startAt) || !has(self.endAt) || self.startAt < self.endAt",message="must be after startAt",fieldPath=".endAt"
type SpiderScheduleSpec struct {
	// spiderRef names the Spider to run, in the same namespace. It is looked up when a run is due.
	//
	// +required
	SpiderRef SpiderReference `json:"spiderRef"`

	// cron says when runs are due, in five fields (minute, hour, day of the month, month and day of the week) as in "30 2 * *
	// MON-FRI", or as @hourly, @daily, @weekly, @monthly or @yearly. Where both day fields are restricted, a day that matches
	// either counts. If the hour field matches all 24 hours, every instant at which the clock shows such a time counts;
	// otherwise each time of the day counts once: times that daylight saving time skips are one run right after the gap, and
	// of a repeated time the first counts.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Cron string `json:"cron"`

	// timeZone is the name, in the IANA database, of the zone in which cron is read. Defaults to UTC.
	//
	// +optional
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`

	// suspend stops the schedule from starting runs. What was due meanwhile is not made up for.
	//
	// +optional
	// +kubebuilder:default=false
	Suspend bool `json:"suspend,omitempty"`

	// overlap says what follows when a run is due while an earlier run of this schedule has not ended: Skip (leave it out; the
	// default), Queue (start it then; one run waits at most), Replace (cancel the earlier run, and start this one when nothing of
	// it runs any more) or Allow (start it at once).
	//
	// +optional
	Overlap OverlapPolicy `json:"overlap,omitempty"`

	// catchUp says what follows when times have passed at which no controller was there to start a run.
	//
	// +optional
	CatchUp *CatchUp `json:"catchUp,omitempty"`

	// jitterSeconds is the most that a run is delayed, so that many schedules with the same cron do not start at once. The delay is
	// the same whenever it is computed, and never reaches the next time. Defaults to 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	JitterSeconds int32 `json:"jitterSeconds,omitempty"`

	// pauseAfterFailures is the number of runs in a row that have to end as Error to pause the schedule. Setting resumedAt ends
	// the pause. Defaults to 0, never.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	PauseAfterFailures int32 `json:"pauseAfterFailures,omitempty"`

	// startAt is the earliest time for which a run is due.
	//
	// +optional
	StartAt *metav1.Time `json:"startAt,omitempty"`

	// endAt is the latest time for which a run is due.
	//
	// +optional
	EndAt *metav1.Time `json:"endAt,omitempty"`

	// resumedAt ends a pause after failures when it is set, or changed.
	//
	// +optional
	ResumedAt *metav1.Time `json:"resumedAt,omitempty"`

	// displayName is the schedule's name for people. It is informational.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// description says what the schedule is for. It is informational.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// userID is the REST API user that the schedule and its runs belong to. A schedule without one belongs to the namespace itself.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	UserID string `json:"userID,omitempty"`

	// arguments are the spider's arguments in every run, as in a SpiderJob.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) <= 256 && name.matches('^[^=\\\\p{Cc}-][^=\\\\p{Cc}]*$'))",message="names must have 1 to 256 characters, contain neither '=' nor control characters, and not start with '-'"
	Arguments map[string]ArgumentValue `json:"arguments,omitempty"`

	// settings are Scrapy settings for every run, by name. Only names in the Spider's allowedSettings are accepted.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[A-Z][A-Z0-9_]{0,127}$'))",message="names must start with an upper-case letter and have at most 128 upper-case letters, digits and underscores"
	Settings map[string]SettingValue `json:"settings,omitempty"`

	// tags are given to every run, as labels tag.scrapethis.app/<tag> of its SpiderJob, in addition to those of the Spider. A run
	// has at most 16: what is more of the Spider's tags, in alphabetical order, is left out.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	Tags []string `json:"tags,omitempty"`

	// timeoutSeconds is how long one attempt of a run may take, as in a SpiderJob.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	TimeoutSeconds *int64 `json:"timeoutSeconds,omitempty"`

	// startDeadlineSeconds is how long one attempt of a run may wait for its start, as in a SpiderJob.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	StartDeadlineSeconds *int64 `json:"startDeadlineSeconds,omitempty"`

	// retries is how often a failed run is tried again, as in a SpiderJob.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Retries *int32 `json:"retries,omitempty"`

	// priority says which of a user's SpiderJobs starts first while not all can, as in a SpiderJob. Defaults to 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	Priority int32 `json:"priority,omitempty"`

	// ttlSecondsAfterFinished is how long a run's SpiderJob is kept after its end. Defaults to the Spider's.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`

	// scheduledTimeArgument is the name of an argument that gets the time for which the run is due, in RFC 3339 with the zone's
	// offset. It replaces an argument of that name.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^=\-\x00-\x1f\x7f-\x9f][^=\x00-\x1f\x7f-\x9f]*$`
	ScheduledTimeArgument string `json:"scheduledTimeArgument,omitempty"`
}

// ScheduledRun is a run of a schedule.
type ScheduledRun struct {
	// name is the name of its SpiderJob.
	//
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// scheduledFor is the time for which the run was due.
	//
	// +required
	ScheduledFor metav1.Time `json:"scheduledFor"`
}

// SpiderScheduleStatus is what the controller knows of a schedule.
type SpiderScheduleStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// timing identifies the part of the spec that says when runs are due. It is internal.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Timing string `json:"timing,omitempty"`

	// effectiveSince is when the times of the spec became effective: runs are due only for later ones.
	//
	// +optional
	EffectiveSince *metav1.Time `json:"effectiveSince,omitempty"`

	// lastScheduledAt is the latest time that was dealt with: a run was started for it, or left out.
	//
	// +optional
	LastScheduledAt *metav1.Time `json:"lastScheduledAt,omitempty"`

	// nextAt is the next time for which a run will be due. It is absent while there is none.
	//
	// +optional
	NextAt *metav1.Time `json:"nextAt,omitempty"`

	// lastJob is the run that was started last.
	//
	// +optional
	LastJob *ScheduledRun `json:"lastJob,omitempty"`

	// lastResult is how the run that ended last has ended.
	//
	// +optional
	// +kubebuilder:validation:Enum=Finished;Cancelled;Error
	LastResult Phase `json:"lastResult,omitempty"`

	// active are the names of the runs that were started and whose end was not seen yet. Of more than 100 only the newest are here.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MaxLength=63
	Active []string `json:"active,omitempty"`

	// queuedFor is the time of a run that waits for the end of an earlier one.
	//
	// +optional
	QueuedFor *metav1.Time `json:"queuedFor,omitempty"`

	// consecutiveFailures is the number of runs that ended as Error since one finished, or the schedule was resumed.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	ConsecutiveFailures int32 `json:"consecutiveFailures,omitempty"`

	// missed is how many times no run was started for a time at which one was due.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Missed int64 `json:"missed,omitempty"`

	// conditions are Ready and Paused.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Conditions of a SpiderSchedule.
const (
	// ConditionReady is True if the schedule will start runs. Otherwise its reason and message say why not, or what was wrong when
	// the last run was due.
	ConditionReady = "Ready"
	// ConditionPaused is True after too many failures in a row, until the schedule is resumed.
	ConditionPaused = "Paused"
)

// Reasons in the conditions of a SpiderSchedule, and for times at which no run was started. They are part of the API.
const (
	// ReasonScheduled goes with Ready=True.
	ReasonScheduled = "Scheduled"
	// ReasonSuspended goes with Ready=False: spec.suspend is set.
	ReasonSuspended = "Suspended"
	// ReasonTooManyFailures goes with Ready=False and Paused=True.
	ReasonTooManyFailures = "TooManyFailures"
	// ReasonResumed goes with Paused=False.
	ReasonResumed = "Resumed"
	// ReasonInvalidSchedule goes with Ready=False: cron or timeZone cannot be read, or cron never fires.
	ReasonInvalidSchedule = "InvalidSchedule"
	// ReasonEnded goes with Ready=False: endAt has passed, or no time is left before it.
	ReasonEnded = "Ended"
	// ReasonRunNotCreated goes with Ready=False: kube-apiserver did not accept the run. It is tried again.
	ReasonRunNotCreated = "RunNotCreated"
	// ReasonOverlap is why no run was started: an earlier one had not ended.
	ReasonOverlap = "Overlap"
	// ReasonMissed is why no run was started: no controller was there in time, or kube-apiserver accepted no run until then.
	ReasonMissed = "Missed"
)

// SpiderSchedule starts runs of a Spider at the times of a cron expression. Deleting it keeps the runs that it has started.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=ssch,categories=scrapethis
// +kubebuilder:selectablefield:JSONPath=`.spec.spiderRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.userID`
// +kubebuilder:printcolumn:name="Spider",type=string,JSONPath=`.spec.spiderRef.name`
// +kubebuilder:printcolumn:name="Cron",type=string,JSONPath=`.spec.cron`
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.spec.timeZone`
// +kubebuilder:printcolumn:name="Suspended",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.lastScheduledAt`
// +kubebuilder:printcolumn:name="Next",type=string,JSONPath=`.status.nextAt`
// +kubebuilder:printcolumn:name="Last Result",type=string,JSONPath=`.status.lastResult`
// +kubebuilder:printcolumn:name="Ready",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Overlap",type=string,priority=1,JSONPath=`.spec.overlap`
// +kubebuilder:printcolumn:name="Missed",type=integer,priority=1,JSONPath=`.status.missed`
// +kubebuilder:printcolumn:name="User",type=string,priority=1,JSONPath=`.spec.userID`
// +kubebuilder:printcolumn:name="Age",type=date,priority=1,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 52 characters"
type SpiderSchedule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says when the Spider is run, and with what.
	//
	// +required
	Spec SpiderScheduleSpec `json:"spec"`

	// status is what the controller knows of the schedule.
	//
	// +optional
	Status SpiderScheduleStatus `json:"status,omitempty"`
}

// SpiderScheduleList is a list of SpiderSchedules.
//
// +kubebuilder:object:root=true
type SpiderScheduleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpiderSchedule `json:"items"`
}

// RunName returns the name of the SpiderJob that the schedule starts for a time: its own name and the minutes since 1970 in base
// 36. There is one name for each time, so kube-apiserver refuses a second run.
func (s *SpiderSchedule) RunName(at time.Time) string {
	return s.Name + "-" + strconv.FormatInt(at.Unix()/60, 36)
}

// Needs reports whether the SpiderJob of a time has to stay: its name is the proof that the run was started, and the status does
// not say so yet, or its end was not seen yet.
func (s *SpiderSchedule) Needs(name string, at time.Time) bool {
	covers := func(t *metav1.Time) bool { return t != nil && !t.Time.Before(at) }
	st := &s.Status
	return !covers(st.LastScheduledAt) && !covers(st.EffectiveSince) || st.QueuedFor != nil && st.QueuedFor.Time.Equal(at) ||
		slices.Contains(st.Active, name)
}
