package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SpiderQuotaName is the name of a namespace's SpiderQuota.
const SpiderQuotaName = "default"

// GroupLimit is the limit of one group of spiders.
type GroupLimit struct {
	// name is the name of the group, as in the Spiders' concurrency.group.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`

	// max is how many runs of the group's spiders may run at once.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	Max int32 `json:"max"`
}

// UserWeight is the weight of one user.
type UserWeight struct {
	// userID is the user, as in the userID of SpiderJobs.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	UserID string `json:"userID"`

	// weight is the user's share of the places: while both have runs that wait, a user with the weight 2 has twice as many running
	// as one with the weight 1.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
}

// SpiderQuotaSpec says how many SpiderJobs of a namespace may run and wait at once, and how users share the places. A limit that
// is absent does not apply.
type SpiderQuotaSpec struct {
	// maxPriority is the highest priority that callers of the REST API may give to a job. SpiderJobs that are made by other means
	// may have any. Defaults to 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	MaxPriority int32 `json:"maxPriority,omitempty"`

	// maxRunning is how many SpiderJobs may run at once. The others wait, without a Job or a Pod.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxRunning int32 `json:"maxRunning,omitempty"`

	// maxRunningPerUser is how many SpiderJobs of one user may run at once. Those without a userID count as one user's.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxRunningPerUser int32 `json:"maxRunningPerUser,omitempty"`

	// maxQueued is how many SpiderJobs may wait at once. When as many do, the REST API refuses to start another one, with status
	// 429 and code queue_full. SpiderJobs that are made by other means wait in any case.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxQueued int32 `json:"maxQueued,omitempty"`

	// maxQueuedPerUser is how many SpiderJobs of one user may wait at once, likewise.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxQueuedPerUser int32 `json:"maxQueuedPerUser,omitempty"`

	// groups are the limits of groups of spiders, such as all that crawl one site.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Groups []GroupLimit `json:"groups,omitempty"`

	// defaultGroupMax is the limit of each group that is not among groups. Defaults to 0, no limit.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	DefaultGroupMax int32 `json:"defaultGroupMax,omitempty"`

	// weights are the shares of users: a place that is free goes to the user with the least running per weight. A user who is not
	// here has the weight 1.
	//
	// +optional
	// +listType=map
	// +listMapKey=userID
	// +kubebuilder:validation:MaxItems=1024
	Weights []UserWeight `json:"weights,omitempty"`
}

// SpiderQuota limits how many SpiderJobs of its namespace run at once, and says how users share the places. A namespace has at
// most one, named "default"; without it, only the limits of Spiders apply. A lower limit stops nothing that runs.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,shortName=sq,categories=scrapethis
// +kubebuilder:printcolumn:name="Running",type=integer,JSONPath=`.spec.maxRunning`
// +kubebuilder:printcolumn:name="Per User",type=integer,JSONPath=`.spec.maxRunningPerUser`
// +kubebuilder:printcolumn:name="Queued",type=integer,JSONPath=`.spec.maxQueued`
// +kubebuilder:printcolumn:name="Queued Per User",type=integer,JSONPath=`.spec.maxQueuedPerUser`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Max Priority",type=integer,priority=1,JSONPath=`.spec.maxPriority`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="metadata.name must be default: a namespace has one SpiderQuota"
type SpiderQuota struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how many SpiderJobs may run and wait at once, and how users share the places.
	//
	// +required
	Spec SpiderQuotaSpec `json:"spec"`
}

// SpiderQuotaList is a list of SpiderQuotas.
//
// +kubebuilder:object:root=true
type SpiderQuotaList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SpiderQuota `json:"items"`
}
