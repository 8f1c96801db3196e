package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpiderJobSpec describes one run. All of it is immutable except priority, ttlSecondsAfterFinished and cancellation, which may
// be set once and whose grace period may be lowered afterwards.
//
// The immutability rules are on this type and not on its fields: a rule on an optional field does not run when the field is
// added or removed.
//
// +kubebuilder:validation:XValidation:rule="self.spiderRef == oldSelf.spiderRef",message="spiderRef is immutable",fieldPath=".spiderRef"
// +kubebuilder:validation:XValidation:rule="has(self.arguments) == has(oldSelf.arguments) && (!has(self.arguments) || self.arguments == oldSelf.arguments)",message="arguments is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.settings) == has(oldSelf.settings) && (!has(self.settings) || self.settings == oldSelf.settings)",message="settings is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.timeoutSeconds) == has(oldSelf.timeoutSeconds) && (!has(self.timeoutSeconds) || self.timeoutSeconds == oldSelf.timeoutSeconds)",message="timeoutSeconds is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.startDeadlineSeconds) == has(oldSelf.startDeadlineSeconds) && (!has(self.startDeadlineSeconds) || self.startDeadlineSeconds == oldSelf.startDeadlineSeconds)",message="startDeadlineSeconds is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.maxWaitSeconds) == has(oldSelf.maxWaitSeconds) && (!has(self.maxWaitSeconds) || self.maxWaitSeconds == oldSelf.maxWaitSeconds)",message="maxWaitSeconds is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.expectations) == has(oldSelf.expectations) && (!has(self.expectations) || self.expectations == oldSelf.expectations)",message="expectations is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.retries) == has(oldSelf.retries) && (!has(self.retries) || self.retries == oldSelf.retries)",message="retries is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.scheduledFor) == has(oldSelf.scheduledFor) && (!has(self.scheduledFor) || self.scheduledFor == oldSelf.scheduledFor)",message="scheduledFor is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.userID) == has(oldSelf.userID) && (!has(self.userID) || self.userID == oldSelf.userID)",message="userID is immutable"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancellation) || (has(self.cancellation) && has(self.cancellation.requestedBy) == has(oldSelf.cancellation.requestedBy) && (!has(self.cancellation.requestedBy) || self.cancellation.requestedBy == oldSelf.cancellation.requestedBy) && has(self.cancellation.requestedAt) == has(oldSelf.cancellation.requestedAt) && (!has(self.cancellation.requestedAt) || self.cancellation.requestedAt == oldSelf.cancellation.requestedAt))",message="cancellation cannot be changed or removed; only its gracePeriodSeconds may be lowered"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancellation) || !has(oldSelf.cancellation.gracePeriodSeconds) || (has(self.cancellation) && has(self.cancellation.gracePeriodSeconds) && self.cancellation.gracePeriodSeconds <= oldSelf.cancellation.gracePeriodSeconds)",message="gracePeriodSeconds of a cancellation can be lowered, but not raised or removed"
type SpiderJobSpec struct {
	// spiderRef names the Spider to run, in the same namespace.
	//
	// +required
	SpiderRef SpiderReference `json:"spiderRef"`

	// arguments are the spider's arguments: Scrapy's "-a name=value". A name has 1 to 256 characters, contains neither '=' nor
	// control characters, and does not start with '-'. Names and values together take up at most 32 KiB, which the controller
	// checks.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) <= 256 && name.matches('^[^=\\\\p{Cc}-][^=\\\\p{Cc}]*$'))",message="names must have 1 to 256 characters, contain neither '=' nor control characters, and not start with '-'"
	Arguments map[string]ArgumentValue `json:"arguments,omitempty"`

	// settings are Scrapy settings for this run, by name. Only names in the Spider's allowedSettings are accepted.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[A-Z][A-Z0-9_]{0,127}$'))",message="names must start with an upper-case letter and have at most 128 upper-case letters, digits and underscores"
	Settings map[string]SettingValue `json:"settings,omitempty"`

	// timeoutSeconds is how long one attempt may run, from the start of the spider's process. It must not exceed the Spider's
	// timeoutSeconds, which is also its default.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	TimeoutSeconds *int64 `json:"timeoutSeconds,omitempty"`

	// startDeadlineSeconds is how long one attempt may wait for its start (for admission, quota, a node, an image, a volume).
	// The time during which a queue suspends the Job does not count. It must not exceed the Spider's startDeadlineSeconds,
	// which is also its default.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	StartDeadlineSeconds *int64 `json:"startDeadlineSeconds,omitempty"`

	// priority says which of a user's SpiderJobs starts first while not all can: each point counts as ten minutes of waiting. It
	// changes nothing between users, and nothing once the run has started. It may be changed at any time. Defaults to 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=-1000
	// +kubebuilder:validation:Maximum=1000
	Priority int32 `json:"priority,omitempty"`

	// maxWaitSeconds is how long the run may wait for a place, from its creation to its admission under the limits of Spider and
	// SpiderQuota. If absent, there is no limit.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	MaxWaitSeconds *int64 `json:"maxWaitSeconds,omitempty"`

	// expectations are rules for this run, in addition to the Spider's. They may tighten the Spider's rules, but not loosen
	// them.
	//
	// +optional
	Expectations *Expectations `json:"expectations,omitempty"`

	// retries is how often a failed run is tried again. It must not exceed the Spider's retries, which is also its default.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Retries *int32 `json:"retries,omitempty"`

	// ttlSecondsAfterFinished is how long this object is kept after the run has ended. Defaults to the Spider's. It may be
	// changed at any time. 315360000, ten years, keeps the object for ever.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`

	// userID is the REST API user that the job belongs to. A job without one belongs to the namespace itself.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	UserID string `json:"userID,omitempty"`

	// scheduledFor is the time for which a SpiderSchedule has started the run. The spider finds it in the environment variable
	// SPIDER_SCHEDULED_AT, in RFC 3339 and UTC.
	//
	// +optional
	ScheduledFor *metav1.Time `json:"scheduledFor,omitempty"`

	// cancellation is the request to stop the job. It may be set once, even to {}, and cannot be removed; its
	// gracePeriodSeconds may be lowered, or set if absent. It has no effect on a job that has ended.
	//
	// +optional
	Cancellation *Cancellation `json:"cancellation,omitempty"`
}

// ArgumentValue is the value of one spider argument. The spider receives it byte for byte.
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

// Cancellation says who asked for a job to be stopped, when, and how long the spider has to close.
type Cancellation struct {
	// requestedBy is who asked for the stop. It is informational.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	RequestedBy string `json:"requestedBy,omitempty"`

	// requestedAt is when the stop was requested.
	//
	// +optional
	RequestedAt *metav1.Time `json:"requestedAt,omitempty"`

	// gracePeriodSeconds is how long the spider has to close before it is killed. Defaults to the Spider's. 0 means 1, as in
	// kubectl: with 0, Kubernetes forgets a Pod without asking its node whether the process has stopped.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	GracePeriodSeconds *int64 `json:"gracePeriodSeconds,omitempty"`
}

// SpiderJob is one run of a Spider with arguments. Deleting a running SpiderJob stops the run and deletes its record; to stop
// the run and keep the record, set spec.cancellation.
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

	// spec describes the run. It is immutable except for priority, ttlSecondsAfterFinished and cancellation, which may be set
	// once and whose grace period may be lowered.
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
