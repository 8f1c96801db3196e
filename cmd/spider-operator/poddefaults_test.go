package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/controllers/spiderjob"
)

// readPodFlags reads the flags for all spiders' Pods over the operator's defaults.
func readPodFlags(args ...string) (spiderjob.PodDefaults, error) {
	pods := spiderjob.DefaultOptions().Defaults.Pods
	cmd := &cobra.Command{}
	cmd.SetOut(io.Discard)
	addPodFlags(cmd, &pods)
	return pods, cmd.ParseFlags(args)
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
	pods.TmpSize = spiderjob.PodDefaults{}.TmpSize
	want := spiderjob.PodDefaults{
		Security:         spiderjob.PodSecurityPlatform,
		ImagePullSecrets: []string{"registry", "mirror.example"},
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

func TestWrongPodFlagsAreRefusedByName(t *testing.T) {
	for _, test := range []struct {
		flag, value string
		says        string
	}{
		{"spider-pod-security", "privileged", "restricted or platform"},
		{"spider-pod-security", "", "restricted or platform"},
		{"spider-pull-secrets", "registry,", `""`},
		{"spider-pull-secrets", "Registry", "Registry"},
		{"spider-pull-secrets", "a,a", "twice"},
		{"spider-node-selector", "pool", "name=value"},
		{"spider-node-selector", "pool=a,", "name=value"},
		{"spider-node-selector", "=a", "name of a label"},
		{"spider-node-selector", "pool=a b", "value of the label pool"},
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
		{"spider-tolerations", `[{"key": "a"}, {"effect": "NoSchedule"}]`, "[1]: without a key"},
		{"spider-tolerations", `[{"key": "a", "operator": "In"}]`, "[0]: operator"},
		{"spider-tolerations", `[{"key": "a b"}]`, "key of a taint"},
		{"spider-tolerations", `[{"key": "a", "operator": "Exists", "value": "b"}]`, "no value"},
		{"spider-tolerations", `[{"key": "a", "value": "b c"}]`, "value of a taint"},
		{"spider-tolerations", `[{"key": "a", "effect": "Never"}]`, "effect"},
		{"spider-tolerations", `[{"key": "a", "tolerationSeconds": 5}]`, "NoExecute"},
	} {
		t.Run(test.flag+"="+test.value, func(t *testing.T) {
			_, err := readPodFlags("--" + test.flag + "=" + test.value)
			if err == nil || !strings.Contains(err.Error(), "--"+test.flag) || !strings.Contains(err.Error(), test.says) {
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
	pods := spiderjob.PodDefaults{}
	cmd := &cobra.Command{}
	addPodFlags(cmd, &pods)
	for name, text := range texts {
		if err := cmd.Flags().Set(name, text); err != nil {
			t.Fatal(err)
		}
		if shown := cmd.Flags().Lookup(name).Value.String(); shown != text {
			t.Errorf("--%s=%s is shown as %s", name, text, shown)
		}
	}
}
