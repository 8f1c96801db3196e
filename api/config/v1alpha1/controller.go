package v1alpha1

import (
	"maps"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// KindController is the kind of the controller's file.
const KindController = "ControllerConfiguration"

// ControllerConfiguration configures `spider-operator controller`.
//
// +kubebuilder:object:root=true
type ControllerConfiguration struct {
	metav1.TypeMeta `json:",inline"`

	// workers is how many SpiderJobs are reconciled at once. At least 1; by default 64.
	Workers int `json:"workers,omitempty"`
	// spiderImage is the image of Spiders that name none. By default there is none, and such Spiders cannot run.
	SpiderImage string `json:"spiderImage,omitempty"`
	// defaultGracePeriod is how long a stopped spider has to close, unless its Spider says otherwise. Whole seconds; 0s counts as
	// 1s; by default 30s.
	DefaultGracePeriod metav1.Duration `json:"defaultGracePeriod,omitempty"`
	// podRetention is how long Job, Pod and log are kept after the end, unless the Spider says otherwise. By default 1h.
	PodRetention metav1.Duration `json:"podRetention,omitempty"`
	// ttl is how long a SpiderJob is kept after its end, unless it or its Spider says otherwise. By default 168h.
	TTL metav1.Duration `json:"ttl,omitempty"`
	// maxInterruptions is how many interruptions are followed by a new attempt, unless the Spider says otherwise. By default 3.
	MaxInterruptions int32 `json:"maxInterruptions,omitempty"`
	// imagePatience is how long an image may fail to be pulled, or a container to be made, before the job ends with an error. By
	// default 5m.
	ImagePatience metav1.Duration `json:"imagePatience,omitempty"`
	// logInterval is the shortest time between two reads of a running spider's log. By default, and if 0s, 10s.
	LogInterval metav1.Duration `json:"logInterval,omitempty"`
	// logBudget is how many logs of running spiders are read per second at most. With more spiders than this times logInterval, each
	// log is read less often. More than 0; by default 10.
	LogBudget float64 `json:"logBudget,omitempty"`
	// spiderPods applies to the Pods of all Spiders.
	SpiderPods SpiderPods `json:"spiderPods,omitempty"`
	// leaderElection has the times of the election. Whether there is one, and where, is said by flags.
	LeaderElection LeaderElection `json:"leaderElection,omitempty"`
}

// SpiderPods are settings for the Pods of all Spiders: what a cluster asks of every Pod, and Spiders made through the REST API
// cannot say.
type SpiderPods struct {
	// security is the security context of Pods whose Spider has none: restricted (user and group 65532), or platform, which leaves
	// user and groups to the cluster's own admission, such as OpenShift's. By default restricted.
	//
	// +kubebuilder:validation:Enum=restricted;platform
	Security PodSecurity `json:"security,omitempty"`
	// imagePullSecrets are Secrets with which images are pulled, besides the Spider's own. Each is looked up in the Spider's
	// namespace; the kubelet ignores one that does not exist.
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// nodeSelector are labels that nodes need. The Spider's own are laid over them, name by name.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations are taints that Pods tolerate besides those that the Spider names.
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// labels are labels of the Pods. The Spider's own are laid over them, name by name. Names under scrapethis.app, kubernetes.io
	// and k8s.io are reserved.
	Labels map[string]string `json:"labels,omitempty"`
	// tmpSize is how much the /tmp of a spider may hold; a Pod whose /tmp holds more is evicted. 0 for no limit; by default 10Gi.
	TmpSize resource.Quantity `json:"tmpSize,omitempty"`
}

// PodSecurity names a way to make a Pod's security context. All of them are within the restricted Pod Security Standard.
type PodSecurity string

const (
	// PodSecurityRestricted runs spiders as user and group 65532.
	PodSecurityRestricted PodSecurity = "restricted"
	// PodSecurityPlatform leaves user and groups to the platform's own admission, which gives each namespace a range of its own,
	// as OpenShift's security context constraints do, and refuses any other.
	PodSecurityPlatform PodSecurity = "platform"
)

// LeaderElection has the times of an election. Each has to be longer than the next.
type LeaderElection struct {
	// leaseDuration is how long a silent leader is believed to lead. By default 13s.
	LeaseDuration metav1.Duration `json:"leaseDuration,omitempty"`
	// renewDeadline is how long a leader tries to renew its Lease before it gives up. By default 10s.
	RenewDeadline metav1.Duration `json:"renewDeadline,omitempty"`
	// retryPeriod is the time between two tries to get or renew the Lease. By default 1s.
	RetryPeriod metav1.Duration `json:"retryPeriod,omitempty"`
}

// DefaultController returns the configuration of a controller that is given none.
func DefaultController() ControllerConfiguration {
	return ControllerConfiguration{
		TypeMeta:           metav1.TypeMeta{APIVersion: APIVersion, Kind: KindController},
		Workers:            64,
		DefaultGracePeriod: duration(30 * time.Second),
		PodRetention:       duration(time.Hour),
		TTL:                duration(7 * 24 * time.Hour),
		MaxInterruptions:   3,
		ImagePatience:      duration(5 * time.Minute),
		LogInterval:        duration(10 * time.Second),
		LogBudget:          10,
		SpiderPods:         SpiderPods{Security: PodSecurityRestricted, TmpSize: resource.MustParse("10Gi")},
		LeaderElection: LeaderElection{
			LeaseDuration: duration(13 * time.Second),
			RenewDeadline: duration(10 * time.Second),
			RetryPeriod:   duration(time.Second),
		},
	}
}

// Validate returns everything that is wrong with the configuration.
func (c *ControllerConfiguration) Validate() field.ErrorList {
	var all field.ErrorList
	all = append(all, atLeastOne(field.NewPath("workers"), c.Workers)...)
	if c.DefaultGracePeriod.Duration < 0 || c.DefaultGracePeriod.Duration%time.Second != 0 {
		all = append(all, field.Invalid(field.NewPath("defaultGracePeriod"), c.DefaultGracePeriod.Duration.String(),
			"must be whole seconds, and not negative"))
	}
	all = append(all, notNegative(field.NewPath("podRetention"), c.PodRetention.Duration)...)
	all = append(all, notNegative(field.NewPath("ttl"), c.TTL.Duration)...)
	if c.MaxInterruptions < 0 {
		all = append(all, field.Invalid(field.NewPath("maxInterruptions"), c.MaxInterruptions, "must be at least 0"))
	}
	all = append(all, notNegative(field.NewPath("imagePatience"), c.ImagePatience.Duration)...)
	all = append(all, notNegative(field.NewPath("logInterval"), c.LogInterval.Duration)...)
	all = append(all, positiveNumber(field.NewPath("logBudget"), c.LogBudget)...)
	all = append(all, c.SpiderPods.validate(field.NewPath("spiderPods"))...)
	return append(all, c.LeaderElection.validate(field.NewPath("leaderElection"))...)
}

// reservedLabel finds names of labels that Spiders may not use either: by them the operator and Kubernetes find Pods.
var reservedLabel = regexp.MustCompile(`(^|[.])(scrapethis[.]app|kubernetes[.]io|k8s[.]io)/`)

func (p *SpiderPods) validate(path *field.Path) field.ErrorList {
	var all field.ErrorList
	if p.Security != PodSecurityRestricted && p.Security != PodSecurityPlatform {
		all = append(
			all,
			field.NotSupported(path.Child("security"), p.Security, []PodSecurity{PodSecurityRestricted, PodSecurityPlatform}),
		)
	}
	for i, secret := range p.ImagePullSecrets {
		at := path.Child("imagePullSecrets").Index(i)
		if problems := validation.IsDNS1123Subdomain(secret.Name); len(problems) > 0 {
			all = append(all, field.Invalid(at.Child("name"), secret.Name, problems[0]))
		} else if slices.Contains(p.ImagePullSecrets[:i], secret) {
			all = append(all, field.Duplicate(at, secret.Name))
		}
	}
	all = append(all, labelErrors(path.Child("nodeSelector"), p.NodeSelector)...)
	all = append(all, labelErrors(path.Child("labels"), p.Labels)...)
	for _, name := range slices.Sorted(maps.Keys(p.Labels)) {
		if reservedLabel.MatchString(name) {
			all = append(
				all,
				field.Forbidden(path.Child("labels").Key(name), "names under scrapethis.app, kubernetes.io and k8s.io are reserved"),
			)
		}
	}
	for i := range p.Tolerations {
		at := path.Child("tolerations").Index(i)
		if problem := tolerationProblem(&p.Tolerations[i]); problem != "" {
			all = append(all, field.Invalid(at, p.Tolerations[i].Key, problem))
		}
	}
	if p.TmpSize.Sign() < 0 {
		all = append(all, field.Invalid(path.Child("tmpSize"), p.TmpSize.String(), "must not be negative"))
	}
	return all
}

func (e *LeaderElection) validate(path *field.Path) field.ErrorList {
	all := positive(path.Child("retryPeriod"), e.RetryPeriod.Duration)
	if e.RenewDeadline.Duration <= e.RetryPeriod.Duration {
		all = append(
			all,
			field.Invalid(path.Child("renewDeadline"), e.RenewDeadline.Duration.String(), "must be longer than retryPeriod"),
		)
	}
	if e.LeaseDuration.Duration <= e.RenewDeadline.Duration {
		all = append(
			all,
			field.Invalid(path.Child("leaseDuration"), e.LeaseDuration.Duration.String(), "must be longer than renewDeadline"),
		)
	}
	return all
}
