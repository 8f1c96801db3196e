package spiderjob

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// buildUnder makes the Pod template of a SpiderJob of a Spider under the operator's settings for Pods.
func buildUnder(t *testing.T, pods PodDefaults, spider *v1alpha1.Spider) *corev1.PodTemplateSpec {
	t.Helper()
	defaults := testDefaults()
	defaults.Pods = pods
	sj := makeSpiderJob().SpiderJob
	p, err := newPlan(sj, spider, defaults)
	if err != nil {
		t.Fatal(err)
	}
	job, err := buildJob(sj, spider, p, defaults)
	if err != nil {
		t.Fatal(err)
	}
	return &job.Spec.Template
}

// spiderWith is a Spider that says of its Pods what change sets.
func spiderWith(change func(*v1alpha1.SpiderSpec)) *v1alpha1.Spider {
	spider := makeSpider()
	change(&spider.Spec)
	return spider
}

func TestSpiderOverridesTheOperatorsSecurityContext(t *testing.T) {
	onRootMismatch := ptr.To(corev1.FSGroupChangeOnRootMismatch)
	seccomp := &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	restricted := &corev1.PodSecurityContext{
		RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532), RunAsGroup: ptr.To[int64](65532), FSGroup: ptr.To[int64](65532),
		FSGroupChangePolicy: onRootMismatch, SeccompProfile: seccomp,
	}
	platform := &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), FSGroupChangePolicy: onRootMismatch, SeccompProfile: seccomp}
	own := &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1000)}
	for _, c := range []struct {
		name     string
		security configv1alpha1.PodSecurity
		own      *corev1.PodSecurityContext
		want     *corev1.PodSecurityContext
	}{
		{"restricted where nobody says otherwise", "", nil, restricted},
		{"restricted", configv1alpha1.PodSecurityRestricted, nil, restricted},
		{"platform leaves user and groups open", configv1alpha1.PodSecurityPlatform, nil, platform},
		{"the Spider's own, as it stands", configv1alpha1.PodSecurityRestricted, own, own},
		{"the Spider's own on a platform", configv1alpha1.PodSecurityPlatform, own, own},
	} {
		t.Run(c.name, func(t *testing.T) {
			template := buildUnder(t, PodDefaults{Security: c.security},
				spiderWith(func(s *v1alpha1.SpiderSpec) { s.Pod.SecurityContext = c.own }))
			if diff := cmp.Diff(c.want, template.Spec.SecurityContext); diff != "" {
				t.Errorf("security context (-want +got):\n%s", diff)
			}
			container := template.Spec.Containers[0].SecurityContext
			want := &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}
			if diff := cmp.Diff(want, container); diff != "" {
				t.Errorf("the container's security context (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpiderOverridesTheOperatorsPodDefaults(t *testing.T) {
	type pod struct {
		Secrets      []corev1.LocalObjectReference
		NodeSelector map[string]string
		Tolerations  []corev1.Toleration
		Labels       map[string]string // Without our own.
	}
	dedicated := corev1.Toleration{
		Key:      "dedicated",
		Operator: corev1.TolerationOpEqual,
		Value:    "spiders",
		Effect:   corev1.TaintEffectNoSchedule,
	}
	unreachable := corev1.Toleration{
		Key:      "node.kubernetes.io/unreachable",
		Operator: corev1.TolerationOpExists,
		Effect:   corev1.TaintEffectNoExecute,
	}
	briefly, lengthily := unreachable, unreachable
	briefly.TolerationSeconds, lengthily.TolerationSeconds = ptr.To[int64](10), ptr.To[int64](600)

	operators := PodDefaults{
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}, {Name: "mirror"}},
		NodeSelector:     map[string]string{"pool": "spiders", "zone": "a"},
		Tolerations:      []corev1.Toleration{dedicated, briefly},
		Labels:           map[string]string{"team": "platform", "cost": "1", v1alpha1.LabelSpider: "another"},
	}
	spiders := func(s *v1alpha1.SpiderSpec) {
		s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "own"}, {Name: "mirror"}}
		s.Pod.NodeSelector = map[string]string{"pool": "big", "disk": "ssd"}
		s.Pod.Tolerations = []corev1.Toleration{lengthily}
		s.Pod.Labels = map[string]v1alpha1.LabelValue{"team": "shop"}
	}
	for _, c := range []struct {
		name   string
		pods   PodDefaults
		spider func(*v1alpha1.SpiderSpec)
		want   pod
	}{
		{"nobody says anything", PodDefaults{}, func(*v1alpha1.SpiderSpec) {}, pod{}},
		{"the operator's alone, as for Spiders made through REST", operators, func(*v1alpha1.SpiderSpec) {}, pod{
			Secrets:      []corev1.LocalObjectReference{{Name: "registry"}, {Name: "mirror"}},
			NodeSelector: map[string]string{"pool": "spiders", "zone": "a"},
			Tolerations:  []corev1.Toleration{dedicated, briefly},
			Labels:       map[string]string{"team": "platform", "cost": "1"},
		}},
		{"the Spider's alone", PodDefaults{}, spiders, pod{
			Secrets:      []corev1.LocalObjectReference{{Name: "own"}, {Name: "mirror"}},
			NodeSelector: map[string]string{"pool": "big", "disk": "ssd"},
			Tolerations:  []corev1.Toleration{lengthily},
			Labels:       map[string]string{"team": "shop"},
		}},
		{"both", operators, spiders, pod{
			Secrets:      []corev1.LocalObjectReference{{Name: "own"}, {Name: "mirror"}, {Name: "registry"}},
			NodeSelector: map[string]string{"pool": "big", "zone": "a", "disk": "ssd"},
			Tolerations:  []corev1.Toleration{lengthily, dedicated},
			Labels:       map[string]string{"team": "shop", "cost": "1"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			template := buildUnder(t, c.pods, spiderWith(c.spider))
			got := pod{template.Spec.ImagePullSecrets, template.Spec.NodeSelector, template.Spec.Tolerations, nil}
			for name, value := range template.Labels {
				switch {
				case name != v1alpha1.LabelSpiderJob && name != v1alpha1.LabelSpiderJobUID && name != v1alpha1.LabelSpider:
					got.Labels = withPlain(got.Labels, map[string]string{name: value})
				case value == "another":
					t.Errorf("the label %s, by which Pods are known, was replaced", name)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the Pod (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPodsShareNoMemoryWithTheSettings checks that a Pod can be changed, as a client does when it reads an answer into it,
// without changing the next Pod.
func TestPodsShareNoMemoryWithTheSettings(t *testing.T) {
	pods := PodDefaults{
		NodeSelector: map[string]string{"pool": "spiders"},
		Labels:       map[string]string{"team": "platform"},
		Tolerations:  []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists, TolerationSeconds: ptr.To[int64](1)}},
	}
	spider := makeSpider()
	first := buildUnder(t, pods, spider)
	untouched := first.DeepCopy()
	first.Spec.NodeSelector["pool"] = "changed"
	first.Labels["team"] = "changed"
	*first.Spec.Tolerations[0].TolerationSeconds = 2
	if diff := cmp.Diff(untouched, buildUnder(t, pods, spider)); diff != "" {
		t.Errorf("the next Pod (-want +got):\n%s", diff)
	}
}

func TestTmpIsBoundedIfTheOperatorBoundsIt(t *testing.T) {
	tmp := func(size string) *resource.Quantity {
		template := buildUnder(t, PodDefaults{TmpSize: resource.MustParse(size)}, makeSpider())
		return template.Spec.Volumes[0].EmptyDir.SizeLimit
	}
	if limit := tmp("0"); limit != nil {
		t.Errorf("without a bound /tmp has the limit %s", limit)
	}
	if limit := tmp("3Gi"); limit == nil || limit.String() != "3Gi" {
		t.Errorf("with a bound of 3Gi /tmp has the limit %s", limit)
	}
	if limit := defaultPods().TmpSize; limit.String() != "10Gi" {
		t.Errorf("by default /tmp has the limit %s, want 10Gi", limit.String())
	}
}

// TestSharedMemoryIsBoundedByTheMemoryLimitAlone checks /dev/shm: the runtime's 64 MiB are too little for a browser.
func TestSharedMemoryIsBoundedByTheMemoryLimitAlone(t *testing.T) {
	template := buildUnder(t, PodDefaults{}, makeSpider())
	mounts := template.Spec.Containers[0].VolumeMounts
	i := slices.IndexFunc(mounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/dev/shm" })
	if i < 0 {
		t.Fatalf("no /dev/shm among %v", mounts)
	}
	for _, volume := range template.Spec.Volumes {
		if volume.Name == mounts[i].Name {
			if e := volume.EmptyDir; e == nil || e.Medium != corev1.StorageMediumMemory || e.SizeLimit != nil {
				t.Errorf("/dev/shm is %+v", volume)
			}
		}
	}

	spider := makeSpider()
	spider.Spec.Pod.Volumes = []corev1.Volume{{Name: "memory"}}
	spider.Spec.Pod.VolumeMounts = []corev1.VolumeMount{{Name: "memory", MountPath: "/dev/shm"}}
	template = buildUnder(t, PodDefaults{}, spider)
	if mounts := template.Spec.Containers[0].VolumeMounts; len(mounts) != 2 || mounts[0].Name != "memory" ||
		mounts[1].MountPath != "/tmp" {
		t.Errorf("beside a /dev/shm of the Spider's own there are %v", mounts)
	}
}

// TestHomeIsTmpExceptForRoot checks HOME: a spider of another user than the image's cannot write to the image's home, and
// root's files are in root's.
func TestHomeIsTmpExceptForRoot(t *testing.T) {
	root, user := ptr.To[int64](0), ptr.To[int64](1000)
	for name, tt := range map[string]struct {
		pod  v1alpha1.PodOptions
		home string
	}{
		"by default":             {home: "/tmp"},
		"another user":           {v1alpha1.PodOptions{SecurityContext: &corev1.PodSecurityContext{RunAsUser: user}}, "/tmp"},
		"the user of the image":  {v1alpha1.PodOptions{SecurityContext: &corev1.PodSecurityContext{}}, "/tmp"},
		"root":                   {v1alpha1.PodOptions{SecurityContext: &corev1.PodSecurityContext{RunAsUser: root}}, ""},
		"root, by the container": {v1alpha1.PodOptions{ContainerSecurityContext: &corev1.SecurityContext{RunAsUser: root}}, ""},
		"root, but not in the container": {v1alpha1.PodOptions{
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: root}, ContainerSecurityContext: &corev1.SecurityContext{RunAsUser: user},
		}, "/tmp"},
		"root, with a home of the Spider's": {v1alpha1.PodOptions{
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: root}, Env: []corev1.EnvVar{{Name: "HOME", Value: "/data"}},
		}, "/data"},
	} {
		t.Run(name, func(t *testing.T) {
			spider := makeSpider()
			spider.Spec.Pod = tt.pod
			if home := envOf(buildUnder(t, PodDefaults{}, spider), "HOME"); home != tt.home {
				t.Errorf("HOME is %q, want %q", home, tt.home)
			}
		})
	}
}

// TestEphemeralStorageIsRequestedOnlyByTheSpider checks that the operator requests none by default: some nodes report no
// ephemeral storage, and no Pod that requests any would ever be scheduled there.
func TestEphemeralStorageIsRequestedOnlyByTheSpider(t *testing.T) {
	requested := func(spider *v1alpha1.Spider) *corev1.ResourceRequirements {
		return &buildUnder(t, defaultPods(), spider).Spec.Containers[0].Resources
	}
	for kind, list := range map[string]corev1.ResourceList{
		"request": requested(makeSpider()).Requests, "limit": requested(makeSpider()).Limits,
	} {
		if amount, set := list[corev1.ResourceEphemeralStorage]; set {
			t.Errorf("neither Spider nor operator sets a %s of ephemeral storage, and it is %s", kind, amount.String())
		}
	}
	own := corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("2Gi")}
	spider := spiderWith(func(s *v1alpha1.SpiderSpec) { s.Pod.Resources = &corev1.ResourceRequirements{Requests: own} })
	if diff := cmp.Diff(own, requested(spider).Requests); diff != "" {
		t.Errorf("the Spider's own requests (-want +got):\n%s", diff)
	}
}

// defaultPods are the settings of an operator that is given none.
func defaultPods() PodDefaults { return PodDefaults(configv1alpha1.DefaultController().SpiderPods) }
