package spiderjob

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

const (
	// nonRootID is the user and group of spiders unless the Spider says otherwise: "nonroot" in distroless images.
	nonRootID = 65532
	// deadlineSlackSeconds is how much later than the controller's own stop the Pod's activeDeadlineSeconds expires, which the
	// kubelet enforces even without a controller.
	deadlineSlackSeconds = 3600
	// tmpVolume is the writable /tmp that every spider has.
	tmpVolume = "scrapethis-tmp"
	// sharedMemoryVolume is the /dev/shm that every spider has.
	sharedMemoryVolume = "scrapethis-shm"
)

// buildJob makes the Job that runs one attempt of a SpiderJob: it never creates a second Pod, except after a queue has taken it
// back.
func buildJob(sj *v1alpha1.SpiderJob, spider *v1alpha1.Spider, p plan, defaults Defaults) (*batchv1.Job, error) {
	note, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode the plan: %w", err)
	}
	env, err := environment(sj, spider, p)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{
		v1alpha1.LabelSpiderJob:    sj.Name,
		v1alpha1.LabelSpiderJobUID: string(sj.UID),
		v1alpha1.LabelSpider:       spider.Name,
	}
	spec := &spider.Spec
	pod := &spec.Pod
	image := spec.Image
	if image == "" {
		image = defaults.SpiderImage
	}
	container := corev1.Container{
		Name:                     v1alpha1.ContainerName,
		Image:                    image,
		ImagePullPolicy:          spec.ImagePullPolicy,
		WorkingDir:               pod.WorkingDir,
		Command:                  commandLine(sj, spider, p),
		Env:                      env,
		EnvFrom:                  pod.EnvFrom,
		Resources:                ptr.Deref(pod.Resources, defaultResources()),
		VolumeMounts:             pod.VolumeMounts,
		SecurityContext:          pod.ContainerSecurityContext,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if container.SecurityContext == nil {
		container.SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	}
	podSpec := corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		TerminationGracePeriodSeconds: ptr.To(p.GraceSeconds),
		EnableServiceLinks:            ptr.To(false),
		AutomountServiceAccountToken:  ptr.To(false),
		// As process 1, a spider that is stopped before it has installed its signal handler would ignore the SIGTERM, and continue
		// until its grace period is over.
		ShareProcessNamespace: ptr.To(ptr.Deref(pod.ShareProcessNamespace, true)),
		ServiceAccountName:    pod.ServiceAccountName,
		ImagePullSecrets:      defaults.Pods.pullSecrets(spec.ImagePullSecrets),
		Volumes:               pod.Volumes,
		NodeSelector:          defaults.Pods.nodeSelector(pod.NodeSelector),
		Affinity:              pod.Affinity,
		Tolerations:           defaults.Pods.tolerations(pod.Tolerations),
		PriorityClassName:     pod.PriorityClassName,
		SecurityContext:       defaults.Pods.securityContext(pod.SecurityContext),
	}
	if pod.RuntimeClassName != "" {
		podSpec.RuntimeClassName = &pod.RuntimeClassName
	}
	defaults.Pods.addTmp(&podSpec, &container)
	defaults.Pods.addSharedMemory(&podSpec, &container)
	podSpec.Containers = []corev1.Container{container}

	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   sj.Namespace,
			Name:        sj.Name,
			Labels:      maps.Clone(labels),
			Annotations: map[string]string{v1alpha1.AnnotationPlan: string(note)},
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(sj, v1alpha1.GroupVersion.WithKind("SpiderJob")),
			},
		},
		Spec: batchv1.JobSpec{
			Parallelism:          ptr.To[int32](1),
			Completions:          ptr.To[int32](1),
			BackoffLimit:         ptr.To[int32](0),
			PodReplacementPolicy: ptr.To(batchv1.Failed),
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action: batchv1.PodFailurePolicyActionFailJob,
				OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{
					Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
				}},
			}}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels:      withPlain(defaults.Pods.labels(pod.Labels), labels), // ours win
					Annotations: withPlain(nil, pod.Annotations),
				},
				Spec: podSpec,
			},
		},
	}
	if p.TimeoutSeconds > 0 {
		job.Spec.Template.Spec.ActiveDeadlineSeconds = ptr.To(p.TimeoutSeconds + p.GraceSeconds + deadlineSlackSeconds)
	}
	if spec.QueueName != "" {
		job.Labels[v1alpha1.LabelQueueName] = spec.QueueName
	}
	return job, nil
}

// commandLine returns the command of the container, as argv entries. Arguments, settings and names are data: Kubernetes must
// not expand $(NAME) in them, which would let a job read its Pod's secrets.
func commandLine(sj *v1alpha1.SpiderJob, spider *v1alpha1.Spider, p plan) []string {
	if len(spider.Spec.Command) > 0 {
		return spider.Spec.Command
	}
	argv := []string{"scrapy", "crawl", literal(p.Spider)}
	if p.launches() {
		argv = []string{"python3", "-c", literal(launcher), literal(p.Spider), literal(p.RepoPath)}
	}
	for _, name := range slices.Sorted(maps.Keys(sj.Spec.Arguments)) {
		argv = append(argv, "-a", literal(name+"="+string(sj.Spec.Arguments[name])))
	}
	settings := scrapySettings(sj, spider)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		argv = append(argv, "-s", literal(name+"="+settings[name]))
	}
	return argv
}

// scrapySettings returns the settings of a run: those that the item counts need, then the Spider's, then the SpiderJob's own.
func scrapySettings(sj *v1alpha1.SpiderJob, spider *v1alpha1.Spider) map[string]string {
	settings := map[string]string{
		// A project may disable its log, or write it to a file, where it cannot be read.
		"LOG_ENABLED": "True", "LOG_FILE": "", "LOG_LEVEL": "INFO", "LOGSTATS_INTERVAL": "10", "STATS_DUMP": "True",
		// The remote control cannot be reached in a Pod, and logs an error if it cannot write below the home directory (Scrapy
		// 2.19).
		"REMOTE_CONTROL_ENABLED": "False",
	}
	settings = withPlain(settings, spider.Spec.Settings)
	return withPlain(settings, sj.Spec.Settings)
}

// environment returns the spider container's environment. Unlike the platform team's own entries, values from a SpiderJob are
// never expanded.
func environment(sj *v1alpha1.SpiderJob, spider *v1alpha1.Spider, p plan) ([]corev1.EnvVar, error) {
	env := slices.Clone(spider.Spec.Pod.Env)
	// A program of root's looks for its files in root's home only, which the runtime finds in the image.
	if !runsAsRoot(&spider.Spec.Pod) && !slices.ContainsFunc(env, func(e corev1.EnvVar) bool { return e.Name == "HOME" }) {
		env = append(env, corev1.EnvVar{Name: "HOME", Value: "/tmp"})
	}
	if !p.launches() { // The launcher does it itself, and better: it sees what the image and every envFrom set.
		env = withUserName(env, spider.Spec.Pod.EnvFrom)
	}
	if at := sj.Spec.ScheduledFor; at != nil {
		env = append(env, corev1.EnvVar{Name: "SPIDER_SCHEDULED_AT", Value: at.UTC().Format(time.RFC3339)})
	}
	if len(spider.Spec.Command) == 0 {
		return env, nil
	}
	arguments, err := compactJSON(withPlain(nil, sj.Spec.Arguments))
	if err != nil {
		return nil, fmt.Errorf("encode the arguments: %w", err)
	}
	settings, err := compactJSON(withPlain(withPlain(nil, spider.Spec.Settings), sj.Spec.Settings))
	if err != nil {
		return nil, fmt.Errorf("encode the settings: %w", err)
	}
	return append(env,
		corev1.EnvVar{Name: "SPIDER_ARGUMENTS", Value: literal(arguments)},
		corev1.EnvVar{Name: "SPIDER_SETTINGS", Value: literal(settings)}), nil
}

// literal doubles every $, so that Kubernetes does not expand $(NAME) in commands and environment values.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// compactJSON returns m as JSON without HTML escapes, so that an argument reads as it was given.
func compactJSON(m map[string]string) (string, error) {
	if m == nil {
		return "{}", nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return "", err
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// withPlain returns base overridden by the entries of more; neither is changed.
func withPlain[V ~string](base map[string]string, more map[string]V) map[string]string {
	if len(more) == 0 {
		return base
	}
	out := make(map[string]string, len(base)+len(more))
	maps.Copy(out, base)
	for name, value := range more {
		out[name] = string(value)
	}
	return out
}

func defaultResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("100m"),
			corev1.ResourceMemory: resource.MustParse("256Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
	}
}
