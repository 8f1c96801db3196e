package e2e

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// inVain is what kubectl has to show of a job that does not run: a phase and a reason, which are in the table of docs/run.md,
// and a sentence that says what is wrong.
type inVain struct {
	phase            v1alpha1.Phase
	reason, sentence string
}

// shown fails the test where kubectl does not show it.
func (want inVain) shown(n *harness.Namespace, t *testing.T, job string) {
	t.Helper()
	phase, reason, sentence := string(want.phase), regexp.QuoteMeta(want.reason), regexp.QuoteMeta(want.sentence)
	if want.phase == v1alpha1.PhasePending {
		phase = "(Pending|Error)" // where patience was over before kubectl has looked
	}
	described := []string{`  Phase: +` + phase + `$`, `  Reason: +` + reason + `$`, `  Message: +.*` + sentence}
	if want.reason != v1alpha1.ReasonQueued { // which is nothing to act on
		n.AwaitWarning(job, want.reason, soon)
		described = append(described, `  Warning +`+reason+` .*`+sentence)
	}
	for command, patterns := range map[string][]string{
		"get --output wide": {job + ` .*\b` + phase + `\b.*\b` + reason + `\b`}, "describe": described,
	} {
		output := n.Run("", append(strings.Fields(command), "spiderjob", job)...)
		for _, pattern := range patterns {
			if !regexp.MustCompile(`(?m)^` + pattern).MatchString(output) {
				t.Errorf("kubectl %s does not say %s:\n%s", command, pattern, output)
			}
		}
	}
}

// unfit is the Spider of a Pod that no node takes.
func unfit(spec *v1alpha1.SpiderSpec) {
	spec.Pod.NodeSelector = map[string]string{"example.com/no-such-node": "true"}
}

// TestKubectlShowsEveryReasonForWhichAJobDoesNotRun checks that kubectl shows, for a job that does not run, each reason of the
// table in docs/run.md.
func TestKubectlShowsEveryReasonForWhichAJobDoesNotRun(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	cases := map[string]struct {
		want inVain
		// hinder creates the Spider and whatever prevents it from running, and starts the job, all with the name.
		hinder func(t *testing.T, n *harness.Namespace, name string)
	}{
		"image": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonImagePull, "spider-demo-missing:dev"},
			counter(func(spec *v1alpha1.SpiderSpec) {
				spec.Image, spec.ImagePullPolicy = "spider-demo-missing:dev", corev1.PullNever
			}),
		},
		"no-image": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonInvalidImage, "Not-An-Image:dev"},
			counter(func(spec *v1alpha1.SpiderSpec) { spec.Image = "Not-An-Image:dev" }),
		},
		"configuration": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonConfiguration, "shop-password"},
			counter(func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.EnvFrom = []corev1.EnvFromSource{{
					SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "shop-password"}},
				}}
			}),
		},
		"unschedulable": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonUnschedulable, "didn't match Pod's node affinity/selector"},
			counter(unfit),
		},
		"quota": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonQuotaExceeded, "exceeded quota: no-gpu"},
			func(t *testing.T, n *harness.Namespace, name string) {
				n.Create(&corev1.ResourceQuota{
					ObjectMeta: metav1.ObjectMeta{Name: "no-gpu"},
					Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"requests.example.com/gpu": resource.MustParse("0")}},
				})
				n.AwaitQuota("no-gpu", soon)
				counter(func(spec *v1alpha1.SpiderSpec) {
					spec.Pod.Resources.Limits["example.com/gpu"] = resource.MustParse("1")
				})(t, n, name)
			},
		},
		"max-wait": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonMaxWaitExceeded, "waits for 1 of 1 places of spider max-wait"},
			func(_ *testing.T, n *harness.Namespace, name string) {
				n.Counter(name, func(spec *v1alpha1.SpiderSpec) { spec.Concurrency = &v1alpha1.Concurrency{Max: 1} })
				n.Start("first", name, map[string]string{"n": "1000", "delay": "100ms"})
				n.AwaitPhase("first", v1alpha1.PhaseRunning, soon)
				n.Start(name, name, nil, func(spec *v1alpha1.SpiderJobSpec) { spec.MaxWaitSeconds = ptr.To[int64](2) })
			},
		},
		"pod-security": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonPodForbidden, "PodSecurity"},
			counter(func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.ContainerSecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: ptr.To(true)}
			}),
		},
		"account": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonServiceAccountNotFound, "nobody"},
			counter(func(spec *v1alpha1.SpiderSpec) { spec.Pod.ServiceAccountName = "nobody" }),
		},
		"webhook": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonPodNotCreated, "failed calling webhook"},
			func(t *testing.T, n *harness.Namespace, name string) {
				hook := deafWebhook(n, name)
				if err := n.Client.Create(t.Context(), hook); err != nil {
					t.Fatalf("create a webhook: %v", err)
				}
				t.Cleanup(func() {
					if err := n.Client.Delete(context.Background(), hook); err != nil {
						t.Errorf("delete the webhook: %v", err)
					}
				})
				counter()(t, n, name)
			},
		},
		"queue": {
			inVain{v1alpha1.PhasePending, v1alpha1.ReasonQueued, "the queue that admits it"},
			func(t *testing.T, n *harness.Namespace, name string) {
				counter(unfit)(t, n, name)
				n.AwaitReason(name, v1alpha1.ReasonUnschedulable, soon)
				suspend(n, name, "true")
			},
		},
		"no-spider": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonSpiderNotFound, "no-spider"},
			func(_ *testing.T, n *harness.Namespace, name string) { n.Start(name, name, nil) },
		},
		"invalid": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonInvalidJob, "FEEDS"},
			func(_ *testing.T, n *harness.Namespace, name string) {
				n.Counter(name)
				n.Start(name, name, nil, func(spec *v1alpha1.SpiderJobSpec) {
					spec.Settings = map[string]v1alpha1.SettingValue{"FEEDS": "{}"}
				})
			},
		},
		"exit": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonExitCode, "code 4"},
			func(_ *testing.T, n *harness.Namespace, name string) {
				n.Counter(name)
				n.Start(name, name, map[string]string{"exit": "4"})
			},
		},
		"signal": {inVain{v1alpha1.PhaseError, v1alpha1.ReasonKilled, "signal 11"}, python(crashes)},
		"failed": {inVain{v1alpha1.PhaseError, v1alpha1.ReasonSpiderFailed, "the shop has no door"}, python(complains)},
		"expected": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonExpectationsNotMet, "minItems: 4, expected at least 5"},
			func(_ *testing.T, n *harness.Namespace, name string) {
				n.Counter(name, func(spec *v1alpha1.SpiderSpec) {
					spec.Expectations = &v1alpha1.Expectations{MinItems: ptr.To[int64](5)}
				})
				n.Start(name, name, map[string]string{"n": "4"})
			},
		},
		"feed": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonFeedFailed, "items could not be written or delivered"},
			func(_ *testing.T, n *harness.Namespace, name string) {
				n.Scrapy(name, func(spec *v1alpha1.SpiderSpec) {
					spec.Name = "category"
					spec.Settings = map[string]v1alpha1.SettingValue{"FEEDS": `{"/nobody-may-write-here.jsonl": {"format": "jsonlines"}}`}
				})
				n.Start(name, name, map[string]string{"category": "Travel"})
			},
		},
		"memory": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonOutOfMemory, "48Mi"},
			python(hungry, func(spec *v1alpha1.SpiderSpec) {
				spec.Pod.Resources.Limits[corev1.ResourceMemory] = resource.MustParse("48Mi")
			}),
		},
		"deadline": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonDeadlineExceeded, "3s"},
			func(_ *testing.T, n *harness.Namespace, name string) {
				n.Counter(name, func(spec *v1alpha1.SpiderSpec) { spec.TimeoutSeconds = ptr.To[int64](3) })
				n.Start(name, name, map[string]string{"n": "100000", "delay": "20ms"})
			},
		},
		"start-deadline": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonStartDeadlineExceeded, "didn't match Pod's node affinity/selector"},
			counter(func(spec *v1alpha1.SpiderSpec) { unfit(spec); spec.StartDeadlineSeconds = ptr.To[int64](6) }),
		},
		"interrupted": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonInterrupted, "deleted"},
			func(t *testing.T, n *harness.Namespace, name string) {
				n.Counter(name, func(spec *v1alpha1.SpiderSpec) { spec.InterruptionPolicy = v1alpha1.InterruptionFail })
				n.Start(name, name, map[string]string{"n": "100000", "delay": "20ms"})
				deletePod(t, n, started(n, name))
			},
		},
		"taken": {
			inVain{v1alpha1.PhaseError, v1alpha1.ReasonNameConflict, "taken"},
			func(t *testing.T, n *harness.Namespace, name string) {
				n.Create(somebodysJob(name))
				counter()(t, n, name)
			},
		},
	}

	covered := map[string]bool{
		// A Pod whose end was not seen, and that left no trace: see the integration tests.
		string(v1alpha1.PhaseError) + " " + v1alpha1.ReasonJobFailed: true,
		// What is Pending here, once patience is over: see the integration tests.
		string(v1alpha1.PhaseError) + " " + v1alpha1.ReasonImagePull:     true,
		string(v1alpha1.PhaseError) + " " + v1alpha1.ReasonInvalidImage:  true,
		string(v1alpha1.PhaseError) + " " + v1alpha1.ReasonConfiguration: true,
		// It lasts as long as an earlier run of the name takes to end: see the integration tests.
		string(v1alpha1.PhasePending) + " " + v1alpha1.ReasonWaiting: true,
		// It takes a minute: see TestASpiderThatStandsStillIsStopped.
		string(v1alpha1.PhaseError) + " " + v1alpha1.ReasonStalled: true,
		// The local cluster's kubelet does not measure storage: see the integration tests.
		string(v1alpha1.PhaseError) + " " + v1alpha1.ReasonOutOfStorage: true,
	}
	for name, tt := range cases {
		covered[string(tt.want.phase)+" "+tt.want.reason] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := n.In(t)
			tt.hinder(t, n, name)
			n.Await(name, "says "+tt.want.reason, soon, func(job *v1alpha1.SpiderJob) bool {
				return job.Status.Reason == tt.want.reason && job.Status.Phase == tt.want.phase
			})
			tt.want.shown(n, t, name)
		})
	}
	for _, documented := range documentedReasons(t) {
		if !covered[documented] {
			t.Errorf("docs/run.md documents %s, and no case here shows it", documented)
		}
		delete(covered, documented)
	}
	for undocumented := range covered {
		t.Errorf("docs/run.md does not document %s", undocumented)
	}
}

// documentedReasons are the rows of the table in docs/run.md, each as phase and reason.
func documentedReasons(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/run.md")
	if err != nil {
		t.Fatalf("read the documentation: %v", err)
	}
	_, section, _ := strings.Cut(string(text), "\n## When a job does not run\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	for _, row := range regexp.MustCompile(`(?m)^\| (Pending|Error) \| ([^|]+) \|`).FindAllStringSubmatch(section, -1) {
		for _, reason := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			rows = append(rows, row[1]+" "+reason[1])
		}
	}
	if len(rows) == 0 {
		t.Fatal("docs/run.md has no table of reasons any more")
	}
	return rows
}

// counter starts a job of a counter that is changed as said.
func counter(change ...func(*v1alpha1.SpiderSpec)) func(*testing.T, *harness.Namespace, string) {
	return func(_ *testing.T, n *harness.Namespace, name string) {
		n.Counter(name, change...)
		n.Start(name, name, nil)
	}
}

// python starts a job of a Python program whose Spider is changed as said.
func python(program string, change ...func(*v1alpha1.SpiderSpec)) func(*testing.T, *harness.Namespace, string) {
	return func(_ *testing.T, n *harness.Namespace, name string) {
		n.Python(name, program, change...)
		n.Start(name, name, nil)
	}
}

// deafWebhook is a webhook for a job's Pods without a server.
func deafWebhook(n *harness.Namespace, job string) *admissionv1.ValidatingWebhookConfiguration {
	return &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name + "-deaf"},
		Webhooks: []admissionv1.ValidatingWebhook{{
			Name:              "deaf.example.com",
			ClientConfig:      admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: n.Name, Name: "nobody"}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: n.Name}},
			ObjectSelector:    &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelSpiderJob: job}},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
			SideEffects: ptr.To(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}},
	}
}
