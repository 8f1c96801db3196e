package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/scrapethis/spider-operator/controllers/spiderjob"
)

// addPodFlags adds the flags for all spiders' Pods. A value that no Pod could have is refused at the start, and not when the
// first Job is made.
func addPodFlags(cmd *cobra.Command, pods *spiderjob.PodDefaults) {
	flags := cmd.Flags()
	flags.Var(checked(&pods.Security, parsePodSecurity, func(s spiderjob.PodSecurity) string { return string(s) }),
		"spider-pod-security", "security context of spiders' Pods where the Spider has none: restricted (user 65532), or platform, "+
			"which leaves user and groups to the cluster's own admission, such as OpenShift's")
	flags.Var(checked(&pods.ImagePullSecrets, parseNames, func(names []string) string { return strings.Join(names, ",") }),
		"spider-pull-secrets", "names of Secrets with which spiders' images are pulled, besides the Spider's own; each in the Spider's namespace")
	flags.Var(checked(&pods.NodeSelector, parseNodeSelector, formatPairs),
		"spider-node-selector", "labels that spiders' nodes need, as name=value,…; the Spider's own are laid over them")
	flags.Var(checked(&pods.Tolerations, parseTolerations, formatTolerations),
		"spider-tolerations", `taints that spiders' Pods tolerate besides those that the Spider names, as a JSON list of a Pod's tolerations`)
	flags.Var(checked(&pods.Labels, parseLabels, formatPairs),
		"spider-labels", "labels of spiders' Pods, as name=value,…; the Spider's own are laid over them")
	flags.Var(checked(&pods.TmpSize, parseSize, func(size resource.Quantity) string { return size.String() }),
		"spider-tmp-size", "how much the /tmp that spiders are given may hold; 0 for no limit")
}

// checkedValue is a flag whose text is checked as it is read. It implements pflag.Value.
type checkedValue[T any] struct {
	value  *T
	parse  func(string) (T, error)
	format func(T) string
}

func checked[T any](value *T, parse func(string) (T, error), format func(T) string) *checkedValue[T] {
	return &checkedValue[T]{value, parse, format}
}

// Set reads the flag. pflag names it in front of the error.
func (v *checkedValue[T]) Set(text string) error {
	value, err := v.parse(text)
	if err == nil {
		*v.value = value
	}
	return err
}

// String is the flag's text, as help shows the default.
func (v *checkedValue[T]) String() string { return v.format(*v.value) }

// Type is the kind of value that help shows.
func (v *checkedValue[T]) Type() string { return "string" }

func parsePodSecurity(text string) (spiderjob.PodSecurity, error) {
	modes := []spiderjob.PodSecurity{spiderjob.PodSecurityRestricted, spiderjob.PodSecurityPlatform}
	if mode := spiderjob.PodSecurity(text); slices.Contains(modes, mode) {
		return mode, nil
	}
	return "", fmt.Errorf("must be %s or %s", modes[0], modes[1])
}

func parseNames(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	names := strings.Split(text, ",")
	for i, name := range names {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			return nil, fmt.Errorf("%q is no name of a Secret: %s", name, problems[0])
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%s is named twice", name)
		}
	}
	return names, nil
}

func parseNodeSelector(text string) (map[string]string, error) {
	if text == "" {
		return nil, nil
	}
	pairs := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		name, value, isPair := strings.Cut(pair, "=")
		if !isPair {
			return nil, fmt.Errorf("%q must be name=value", pair)
		}
		if problems := validation.IsQualifiedName(name); len(problems) > 0 {
			return nil, fmt.Errorf("%q is no name of a label: %s", name, problems[0])
		}
		if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
			return nil, fmt.Errorf("%q is no value of the label %s: %s", value, name, problems[0])
		}
		if _, known := pairs[name]; known {
			return nil, fmt.Errorf("%s is given twice", name)
		}
		pairs[name] = value
	}
	return pairs, nil
}

// reservedLabel finds names of labels that Spiders may not use either: Pods are known by them, to us and to Kubernetes.
var reservedLabel = regexp.MustCompile(`(^|[.])(scrapethis[.]app|kubernetes[.]io|k8s[.]io)/`)

func parseLabels(text string) (map[string]string, error) {
	labels, err := parseNodeSelector(text)
	for name := range labels {
		if reservedLabel.MatchString(name) {
			return nil, fmt.Errorf("%s: names under scrapethis.app, kubernetes.io and k8s.io are reserved", name)
		}
	}
	return labels, err
}

func formatPairs(pairs map[string]string) string {
	texts := make([]string, 0, len(pairs))
	for _, name := range slices.Sorted(maps.Keys(pairs)) {
		texts = append(texts, name+"="+pairs[name])
	}
	return strings.Join(texts, ",")
}

func parseTolerations(text string) ([]corev1.Toleration, error) {
	if text == "" {
		return nil, nil
	}
	var tolerations []corev1.Toleration
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&tolerations); err != nil {
		return nil, fmt.Errorf("must be a JSON list of a Pod's tolerations: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("must be one JSON list of a Pod's tolerations, with nothing behind it")
	}
	for i := range tolerations {
		if problem := tolerationProblem(&tolerations[i]); problem != "" {
			return nil, fmt.Errorf("[%d]: %s", i, problem)
		}
	}
	return tolerations, nil
}

// tolerationProblem says why kube-apiserver would refuse a Pod with this toleration, "" where it would not.
func tolerationProblem(t *corev1.Toleration) string {
	effects := []corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
	exists := t.Operator == corev1.TolerationOpExists
	keyProblems, valueProblems := validation.IsQualifiedName(t.Key), validation.IsValidLabelValue(t.Value)
	switch {
	case !slices.Contains([]corev1.TolerationOperator{"", corev1.TolerationOpExists, corev1.TolerationOpEqual}, t.Operator):
		return fmt.Sprintf("operator %q must be Exists or Equal", t.Operator)
	case t.Key == "" && !exists:
		return "without a key the operator must be Exists"
	case t.Key != "" && len(keyProblems) > 0:
		return fmt.Sprintf("%q is no key of a taint: %s", t.Key, keyProblems[0])
	case exists && t.Value != "":
		return "with the operator Exists there is no value"
	case len(valueProblems) > 0:
		return fmt.Sprintf("%q is no value of a taint: %s", t.Value, valueProblems[0])
	case !slices.Contains(effects, t.Effect):
		return fmt.Sprintf("effect %q must be NoSchedule, PreferNoSchedule, NoExecute, or absent for all of them", t.Effect)
	case t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute:
		return "tolerationSeconds needs the effect NoExecute"
	}
	return ""
}

func formatTolerations(tolerations []corev1.Toleration) string {
	if len(tolerations) == 0 {
		return ""
	}
	text, err := json.Marshal(tolerations)
	if err != nil { // Nothing that a toleration holds can fail.
		return err.Error()
	}
	return string(text)
}

func parseSize(text string) (resource.Quantity, error) {
	size, err := resource.ParseQuantity(text)
	if err != nil {
		return resource.Quantity{}, fmt.Errorf("must be an amount of bytes, such as 10Gi: %w", err)
	}
	if size.Sign() < 0 {
		return resource.Quantity{}, errors.New("must not be negative")
	}
	return size, nil
}
