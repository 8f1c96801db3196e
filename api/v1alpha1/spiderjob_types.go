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
