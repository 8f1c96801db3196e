package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StatsSource is where a spider's counts are read from.
//
// +kubebuilder:validation:Enum=Scrapy;TerminationMessage;None
type StatsSource string

const (
	// StatsFromScrapy reads a JSON termination message or, where there is none, the stats and progress lines in Scrapy's log.
	StatsFromScrapy StatsSource = "Scrapy"
	// StatsFromTerminationMessage reads a JSON termination message only, never the log.
	StatsFromTerminationMessage StatsSource = "TerminationMessage"
	// StatsFromNowhere reads no counts: the exit code alone decides.
	StatsFromNowhere StatsSource = "None"
)

// InterruptionPolicy says what follows when a run is interrupted: evicted, drained, preempted, or its Pod deleted.
//
// +kubebuilder:validation:Enum=Retry;Fail
type InterruptionPolicy string

const (
	// InterruptionRetry starts a new attempt, up to a bounded number of times.
	InterruptionRetry InterruptionPolicy = "Retry"
	// InterruptionFail ends the job as Error, reason Interrupted.
	InterruptionFail InterruptionPolicy = "Fail"
)

// SpiderSpec describes a spider and how it is run.
//
// +kubebuilder:validation:XValidation:rule="!has(self.repoPath) || !has(self.command)",message="cannot be set together with command",fieldPath=".repoPath"
type SpiderSpec struct {
	// name is the spider's name in Scrapy and in the REST API. It is case-sensitive, contains no control characters and does
	// not start with '-'. Defaults to metadata.name.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[^\-\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$`
	// +kubebuilder:validation:XValidation:rule="self.trim() != ''",message="must not consist of blanks"
	Name string `json:"name,omitempty"`

	// repoPath is the path of the spider's file in the image, relative to the working directory. The spider called name is run
	// from that file: as part of the Scrapy project that contains the file, or alone if there is none. A Spider without a
	// repoPath is run by "scrapy crawl".
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^[^/\-\x00-\x1f\x7f][^\x00-\x1f\x7f]*$`
	// +kubebuilder:validation:XValidation:rule="!self.split('/').exists(part, part == '..')",message="must not contain '..'"
	RepoPath string `json:"repoPath,omitempty"`

	// description says what the spider does. It is informational.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`

	// userID makes the spider visible to this REST API user only. A spider without a userID is shared by all users of its
	// namespace.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	UserID string `json:"userID,omitempty"`

	// tags are given to every run that the REST API or a SpiderSchedule starts, as labels tag.scrapethis.app/<tag> of its
	// SpiderJob, in addition to the run's own. A tag has at most 63 letters, digits, '-', '_' and '.', and begins and ends with a
	// letter or digit. A change reaches later runs only, and no SpiderJob that was made by kubectl gets tags: its labels are its
	// maker's.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	Tags []string `json:"tags,omitempty"`

	// image is the container image that holds the spider. Defaults to the spider image that the operator is configured with.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// imagePullPolicy says when the image is pulled: Always, IfNotPresent or Never. Defaults as for any Pod.
	//
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// imagePullSecrets are Secrets in this namespace that are used to pull the image, in addition to those that the operator is
	// configured with.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// command is run instead of Scrapy, without a shell. It receives the job's arguments and settings in the environment
	// variables SPIDER_ARGUMENTS and SPIDER_SETTINGS, each a JSON object of strings. It may report its counts as JSON in
	// /dev/termination-log.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=4096
	// +kubebuilder:validation:items:Pattern=`^[^\x00]*$`
	Command []string `json:"command,omitempty"`

	// settings are Scrapy settings for every run, by name.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	// +kubebuilder:validation:XValidation:rule="self.all(name, name.matches('^[A-Z][A-Z0-9_]{0,127}$'))",message="names must start with an upper-case letter and have at most 128 upper-case letters, digits and underscores"
	Settings map[string]SettingValue `json:"settings,omitempty"`

	// allowedSettings are the names of the settings that a SpiderJob may set for its own run. Defaults to none, since some
	// settings load code or write files.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Pattern=`^[A-Z][A-Z0-9_]{0,127}$`
	// +kubebuilder:validation:items:MaxLength=128
	AllowedSettings []string `json:"allowedSettings,omitempty"`

	// statsSource is where counts are read from: Scrapy (a termination message or Scrapy's log; the default without a command),
	// TerminationMessage (the default with a command; the log is never read) or None.
	//
	// +optional
	StatsSource StatsSource `json:"statsSource,omitempty"`

	// statsAcrossAttempts says which attempts the counts cover: Last (the default) or Sum, for spiders that resume where an
	// earlier attempt was interrupted.
	//
	// +optional
	StatsAcrossAttempts AttemptCounting `json:"statsAcrossAttempts,omitempty"`

	// expectations are rules that a run has to meet, beyond exiting with success, to count as a success.
	//
	// +optional
	Expectations *Expectations `json:"expectations,omitempty"`

	// exitPatienceSeconds is how long the process may live on after its log said that the spider is closed. The process is then
	// stopped, and the run ends with the result that the spider reported. If absent, such a process is never stopped.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	ExitPatienceSeconds *int64 `json:"exitPatienceSeconds,omitempty"`

	// errorFinishReasons are the finish reasons that make a run an error even if its exit code is 0. An entry may end in "*",
	// which stands for any text. Defaults to closespider_errorcount, closespider_pagecount_no_item,
	// closespider_timeout_no_item, closed_by_spidermon, memusage_exceeded and start_error.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	ErrorFinishReasons []string `json:"errorFinishReasons,omitempty"`

	// timeoutSeconds is how long one attempt may run, from the start of the spider's process, and the most that a SpiderJob may
	// ask for. Waiting and pauses do not count. If absent, there is no limit.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	TimeoutSeconds *int64 `json:"timeoutSeconds,omitempty"`

	// startDeadlineSeconds is how long one attempt may wait for its start (for admission, quota, a node, an image, a volume),
	// and the most that a SpiderJob may ask for. It counts from the creation, from the last time that a queue resumed the Job,
	// or from the earliest time for a further attempt. The time during which a queue suspends the Job does not count. If
	// absent, there is no limit.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=31536000
	StartDeadlineSeconds *int64 `json:"startDeadlineSeconds,omitempty"`

	// retries is how often a failed run is tried again, and the most that a SpiderJob may ask for. Defaults to 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Retries *int32 `json:"retries,omitempty"`

	// terminationGracePeriodSeconds is how long a spider that is stopped has to close before it is killed. Defaults to the
	// operator's setting, 30. 0 means 1.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// interruptionPolicy says what follows an interruption (eviction, drain, preemption, a lost node, a deleted Pod): Retry
	// starts a new attempt, Fail ends the job. Defaults to Retry.
	//
	// +optional
	InterruptionPolicy InterruptionPolicy `json:"interruptionPolicy,omitempty"`

	// maxInterruptions is the number of interruptions that are followed by a new attempt; the next one ends the job. Defaults
	// to the operator's setting, 3.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	MaxInterruptions *int32 `json:"maxInterruptions,omitempty"`

	// podRetentionSeconds is how long the Job and its Pod, and with the Pod the log, are kept after the end. Defaults to the
	// operator's setting, 3600.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	PodRetentionSeconds *int64 `json:"podRetentionSeconds,omitempty"`

	// ttlSecondsAfterFinished is how long a SpiderJob is kept after its end. Defaults to the operator's setting, 604800.
	// 315360000, ten years, keeps SpiderJobs for ever. The value at the end of a SpiderJob applies to it, even if the Spider is
	// changed or deleted afterwards.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=315360000
	TTLSecondsAfterFinished *int64 `json:"ttlSecondsAfterFinished,omitempty"`

	// queueName is the Kueue LocalQueue that admits the runs.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	QueueName string `json:"queueName,omitempty"`

	// concurrency limits how many runs of the spider run at once. If absent, only the namespace's SpiderQuota does.
	//
	// +optional
	Concurrency *Concurrency `json:"concurrency,omitempty"`

	// pod is what the spider's Pods need in addition to the image.
	//
	// +optional
	Pod PodOptions `json:"pod,omitempty,omitzero"`
}

// Concurrency limits how many runs of a spider run at once. What does not fit waits, without a Job or a Pod.
type Concurrency struct {
	// max is how many runs of the spider may run at once. If absent, there is no limit of the spider's own.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Max int32 `json:"max,omitempty"`

	// group is the name of a group of spiders of the namespace that share a limit, such as all that crawl one site. The limit is
	// the SpiderQuota's.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Group string `json:"group,omitempty"`
}

// SettingValue is the value of one Scrapy setting: the text that would follow "-s NAME=" on Scrapy's command line.
//
// +kubebuilder:validation:MaxLength=4096
// +kubebuilder:validation:Pattern=`^[^\x00]*$`
type SettingValue string

// PodOptions are the settings of a spider's Pods. They belong to the platform team: callers of the REST API can neither see
// nor set them.
type PodOptions struct {
	// labels are added to the Pods. They override labels of the same name in the operator's configuration. Names under
	// scrapethis.app, kubernetes.io and k8s.io are reserved.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(name, !format.qualifiedName().validate(name).hasValue())",message="names must be qualified names, as in example.com/team"
	// +kubebuilder:validation:XValidation:rule="self.all(name, !name.matches('(^|[.])(scrapethis[.]app|kubernetes[.]io|k8s[.]io)/'))",message="names under scrapethis.app, kubernetes.io and k8s.io are reserved"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations are added to the Pods.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(name, !format.qualifiedName().validate(name).hasValue())",message="names must be qualified names, as in example.com/team"
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// resources are the spider container's requests and limits. Defaults to requests of 100m CPU and 256Mi memory and a
	// limit of 1Gi memory.
	//
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// workingDir is the working directory of the spider container, for instance the one that contains scrapy.cfg. Defaults to
	// the image's.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:Pattern=`^/[^\x00-\x1f\x7f]*$`
	WorkingDir string `json:"workingDir,omitempty"`

	// env are environment variables of the spider container.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="self.all(e, !(e.name in ['SPIDER_ARGUMENTS', 'SPIDER_SETTINGS', 'SPIDER_SCHEDULED_AT']))",message="SPIDER_ARGUMENTS, SPIDER_SETTINGS and SPIDER_SCHEDULED_AT are set by the operator"
	Env []corev1.EnvVar `json:"env,omitempty"`

	// envFrom are ConfigMaps and Secrets whose entries become environment variables of the spider container.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`

	// volumes are added to the Pods.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Volumes []corev1.Volume `json:"volumes,omitempty"`

	// volumeMounts are the paths at which volumes are mounted in the spider container.
	//
	// +optional
	// +listType=map
	// +listMapKey=mountPath
	// +kubebuilder:validation:MaxItems=32
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty"`

	// nodeSelector restricts the Pods to nodes with these labels. It is merged with the operator's nodeSelector; where both
	// have a label, the value given here applies.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// affinity is the Pods' affinity: which nodes they prefer or require.
	//
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// tolerations are the taints that the Pods tolerate, in addition to those that the operator is configured with.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// priorityClassName is the Pods' priority class.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// runtimeClassName is the Pods' runtime class.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// serviceAccountName is the service account that the Pods run as. Its token is not mounted.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// shareProcessNamespace makes the spider an ordinary process of its Pod. Otherwise it is process 1, which ignores SIGTERM
	// until it has installed a handler. Defaults to true. Set it to false for an image whose own init must be process 1, or if
	// containers that are added to the Pod must not see the spider's processes.
	//
	// +optional
	ShareProcessNamespace *bool `json:"shareProcessNamespace,omitempty"`

	// securityContext replaces the Pods' security context. Defaults to one that meets the restricted Pod Security Standard,
	// with user and group 65532 unless the operator is configured to leave these to the platform.
	//
	// +optional
	SecurityContext *corev1.PodSecurityContext `json:"securityContext,omitempty"`

	// containerSecurityContext replaces the spider container's security context. Defaults to one that meets the restricted Pod
	// Security Standard.
	//
	// +optional
	ContainerSecurityContext *corev1.SecurityContext `json:"containerSecurityContext,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
type LabelValue string

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=4096
type AnnotationValue string

// Spider is something that can be run: an image, what to run in it, and how. Each SpiderJob is one run of a Spider.
//
// Writing Spiders in a namespace grants what creating Pods in that namespace grants.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=scrapethis
// +kubebuilder:selectablefield:JSONPath=`.spec.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.userID`
// +kubebuilder:printcolumn:name="Spider",type=string,JSONPath=`.spec.name`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.image`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="User",type=string,priority=1,JSONPath=`.spec.userID`
// +kubebuilder:printcolumn:name="Description",type=string,priority=1,JSONPath=`.spec.description`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="metadata.name must be a DNS label of at most 63 characters"
type Spider struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec describes the spider and how it is run.
	//
	// +optional
	// +kubebuilder:default={}
	Spec SpiderSpec `json:"spec,omitempty"`
}

// SpiderList is a list of Spiders.
//
// +kubebuilder:object:root=true
type SpiderList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Spider `json:"items"`
}
