package spiderjob

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// PodDefaults are the operator's settings for all spiders' Pods.
type PodDefaults configv1alpha1.SpiderPods

// securityContext returns the Pod's security context: the Spider's own, or the operator's.
func (d *PodDefaults) securityContext(own *corev1.PodSecurityContext) *corev1.PodSecurityContext {
	if own != nil {
		return own
	}
	made := &corev1.PodSecurityContext{
		RunAsNonRoot: ptr.To(true),
		// The other policy changes the owner of every file of a volume at each start, which takes minutes if there are many.
		FSGroupChangePolicy: ptr.To(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if d.Security != configv1alpha1.PodSecurityPlatform {
		made.RunAsUser, made.RunAsGroup, made.FSGroup = ptr.To[int64](nonRootID), ptr.To[int64](nonRootID), ptr.To[int64](nonRootID)
	}
	return made
}

// pullSecrets returns the Spider's own and the operator's, each once: Kubernetes identifies them by name.
func (d *PodDefaults) pullSecrets(own []corev1.LocalObjectReference) []corev1.LocalObjectReference {
	all := slices.Clone(own)
	for _, secret := range d.ImagePullSecrets {
		if !slices.Contains(all, secret) {
			all = append(all, secret)
		}
	}
	return all
}

// tolerations returns the Spider's own and the operator's. If both tolerate the same taint, the Spider's applies, since it may
// limit the time.
func (d *PodDefaults) tolerations(own []corev1.Toleration) []corev1.Toleration {
	all := slices.Clone(own)
	for i := range d.Tolerations {
		toleration := &d.Tolerations[i]
		if !slices.ContainsFunc(own, func(has corev1.Toleration) bool { return has.MatchToleration(toleration) }) {
			all = append(all, *toleration.DeepCopy())
		}
	}
	return all
}

// nodeSelector returns the operator's, overridden by the Spider's own.
func (d *PodDefaults) nodeSelector(own map[string]string) map[string]string {
	return maps.Clone(withPlain(d.NodeSelector, own))
}

// labels returns the operator's, overridden by the Spider's own.
func (d *PodDefaults) labels(own map[string]v1alpha1.LabelValue) map[string]string {
	return maps.Clone(withPlain(d.Labels, own))
}

// addTmp gives the spider a writable /tmp, which is also its home, unless the Spider mounts its own.
func (d *PodDefaults) addTmp(pod *corev1.PodSpec, container *corev1.Container) {
	if mountsAt(container, "/tmp") {
		return
	}
	directory := &corev1.EmptyDirVolumeSource{}
	if !d.TmpSize.IsZero() {
		directory.SizeLimit = ptr.To(d.TmpSize.DeepCopy())
	}
	pod.Volumes = append(slices.Clone(pod.Volumes), corev1.Volume{
		Name: tmpVolume, VolumeSource: corev1.VolumeSource{EmptyDir: directory},
	})
	container.VolumeMounts = append(slices.Clone(container.VolumeMounts), corev1.VolumeMount{Name: tmpVolume, MountPath: "/tmp"})
}

// addSharedMemory gives the spider a /dev/shm that may grow up to its memory limit, which includes it, unless the Spider mounts
// its own. The runtime's has 64 MiB, at which browsers and in-memory databases crash.
func (d *PodDefaults) addSharedMemory(pod *corev1.PodSpec, container *corev1.Container) {
	if mountsAt(container, "/dev/shm") {
		return
	}
	pod.Volumes = append(slices.Clone(pod.Volumes), corev1.Volume{
		Name:         sharedMemoryVolume,
		VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}},
	})
	container.VolumeMounts = append(slices.Clone(container.VolumeMounts),
		corev1.VolumeMount{Name: sharedMemoryVolume, MountPath: "/dev/shm"})
}

// mountsAt reports whether the Spider mounts something of its own at a path.
func mountsAt(container *corev1.Container, path string) bool {
	return slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path })
}

// runsAsRoot reports whether the Spider runs its process as root.
func runsAsRoot(pod *v1alpha1.PodOptions) bool {
	if c := pod.ContainerSecurityContext; c != nil && c.RunAsUser != nil {
		return *c.RunAsUser == 0
	}
	return pod.SecurityContext != nil && pod.SecurityContext.RunAsUser != nil && *pod.SecurityContext.RunAsUser == 0
}
