package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	configv1alpha1 "github.com/scrapethis/spider-operator/api/config/v1alpha1"
)

// readPodFlags reads the flags for all spiders' Pods over the operator's defaults.
func readPodFlags(args ...string) (configv1alpha1.SpiderPods, error) {
	config := configv1alpha1.DefaultController()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addPodFlags(flags, &config.SpiderPods)
	err := flags.Parse(args)
	if err == nil {
		err = config.Validate().ToAggregate()
	}
	return config.SpiderPods, err
}

func TestPodFlags(t *testing.T) {
	pods, err := readPodFlags("--spider-pod-security=platform", "--spider-pull-secrets=registry,mirror.example",
		"--spider-node-selector=pool=spiders,example.org/disk=", "--spider-labels=team=data,sidecar.istio.io/inject=false",
		`--spider-tolerations=[{"key":"dedicated","value":"spiders","effect":"NoSchedule"},`+
			`{"operator":"Exists","effect":"NoExecute","tolerationSeconds":30}]`,
		"--spider-tmp-size=500Mi")
	if err != nil {
		t.Fatal(err)
	}
	if size := pods.TmpSize.String(); size != "500Mi" {
		t.Errorf("/tmp may hold %s", size)
	}
	pods.TmpSize = resource.Quantity{}
	want := configv1alpha1.SpiderPods{
		Security:         configv1alpha1.PodSecurityPlatform,
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}, {Name: "mirror.example"}},
		NodeSelector:     map[string]string{"pool": "spiders", "example.org/disk": ""},
		Labels:           map[string]string{"team": "data", "sidecar.istio.io/inject": "false"},
		Tolerations: []corev1.Toleration{
			{Key: "dedicated", Value: "spiders", Effect: corev1.TaintEffectNoSchedule},
			{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](30)},
		},
	}
	if diff := cmp.Diff(want, pods); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

// An empty text is as good as none, so that a template may always pass the flag.
func TestPodFlagsMayBeEmpty(t *testing.T) {
	pods, err := readPodFlags("--spider-pull-secrets=", "--spider-node-selector=", "--spider-labels=", "--spider-tolerations=")
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.ImagePullSecrets)+len(pods.NodeSelector)+len(pods.Labels)+len(pods.Tolerations) > 0 {
		t.Errorf("settings %+v", pods)
	}
}

// A text that cannot be read is refused with the flag, a value that no Pod may have with the setting that it is of.
func TestWrongPodFlagsAreRefusedByName(t *testing.T) {
	settings := map[string]string{
		"spider-pod-security":  "spiderPods.security",
		"spider-pull-secrets":  "spiderPods.imagePullSecrets",
		"spider-node-selector": "spiderPods.nodeSelector",
		"spider-labels":        "spiderPods.labels",
		"spider-tmp-size":      "spiderPods.tmpSize",
		"spider-tolerations":   "spiderPods.tolerations",
	}
	for _, test := range []struct {
		flag, value string
		says        string
	}{
		{"spider-pod-security", "privileged", "platform"},
		{"spider-pod-security", "", "platform"},
		{"spider-pull-secrets", "registry,", `imagePullSecrets[1].name: Invalid value: ""`},
		{"spider-pull-secrets", "Registry", "Registry"},
		{"spider-pull-secrets", "a,a", "Duplicate"},
		{"spider-node-selector", "pool", "name=value"},
		{"spider-node-selector", "pool=a,", "name=value"},
		{"spider-node-selector", "=a", "name part must be non-empty"},
		{"spider-node-selector", "pool=a b", "nodeSelector[pool]"},
		{"spider-node-selector", "pool=a,pool=b", "twice"},
		{"spider-labels", "scrapethis.app/spiderjob=a", "reserved"},
		{"spider-labels", "batch.kubernetes.io/job-name=a", "reserved"},
		{"spider-labels", "team", "name=value"},
		{"spider-tmp-size", "lots", "10Gi"},
		{"spider-tmp-size", "-1Gi", "negative"},
		{"spider-tolerations", "dedicated", "JSON list"},
		{"spider-tolerations", `{"key": "a"}`, "JSON list"},
		{"spider-tolerations", `[{"key": "a"}] []`, "nothing behind it"},
		{"spider-tolerations", `[{"key": "a", "effects": "NoSchedule"}]`, "effects"},
		{"spider-tolerations", `[{"key": "a"}, {"effect": "NoSchedule"}]`, "tolerations[1]: Invalid value: \"\": without a key"},
		{"spider-tolerations", `[{"key": "a", "operator": "In"}]`, "tolerations[0]: Invalid value: \"a\": operator"},
		{"spider-tolerations", `[{"key": "a b"}]`, "key of a taint"},
		{"spider-tolerations", `[{"key": "a", "operator": "Exists", "value": "b"}]`, "no value"},
		{"spider-tolerations", `[{"key": "a", "value": "b c"}]`, "value of a taint"},
		{"spider-tolerations", `[{"key": "a", "effect": "Never"}]`, "effect"},
		{"spider-tolerations", `[{"key": "a", "tolerationSeconds": 5}]`, "NoExecute"},
	} {
		t.Run(test.flag+"="+test.value, func(t *testing.T) {
			_, err := readPodFlags("--" + test.flag + "=" + test.value)
			named := err != nil && (strings.Contains(err.Error(), "--"+test.flag) || strings.Contains(err.Error(), settings[test.flag]))
			if !named || !strings.Contains(err.Error(), test.says) {
				t.Errorf("want a refusal that names --%s and says %q, got %v", test.flag, test.says, err)
			}
		})
	}
}

// What help shows as a flag's value is what the flag takes.
func TestPodFlagsReadBackWhatTheyShow(t *testing.T) {
	texts := map[string]string{
		"spider-pod-security":  "platform",
		"spider-pull-secrets":  "b,a",
		"spider-node-selector": "a=1,b=2",
		"spider-labels":        "a=1,b=2",
		"spider-tolerations":   `[{"key":"a","operator":"Exists"}]`,
		"spider-tmp-size":      "1Gi",
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addPodFlags(flags, &configv1alpha1.SpiderPods{})
	for name, text := range texts {
		if err := flags.Set(name, text); err != nil {
			t.Fatal(err)
		}
		if shown := flags.Lookup(name).Value.String(); shown != text {
			t.Errorf("--%s=%s is shown as %s", name, text, shown)
		}
	}
}
