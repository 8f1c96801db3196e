package v1alpha1

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func labelErrors(path *field.Path, labels map[string]string) field.ErrorList {
	var all field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		for _, problem := range validation.IsQualifiedName(name) {
			all = append(all, field.Invalid(path, name, problem))
		}
		for _, problem := range validation.IsValidLabelValue(labels[name]) {
			all = append(all, field.Invalid(path.Key(name), labels[name], problem))
		}
	}
	return all
}

// tolerationProblem says why kube-apiserver would refuse a Pod with this toleration, "" where it would not.
func tolerationProblem(t *corev1.Toleration) string {
	operators := []corev1.TolerationOperator{"", corev1.TolerationOpExists, corev1.TolerationOpEqual}
	effects := []corev1.TaintEffect{
		"",
		corev1.TaintEffectNoSchedule,
		corev1.TaintEffectPreferNoSchedule,
		corev1.TaintEffectNoExecute,
	}
	exists := t.Operator == corev1.TolerationOpExists
	keyProblems, valueProblems := validation.IsQualifiedName(t.Key), validation.IsValidLabelValue(t.Value)
	switch {
	case !slices.Contains(operators, t.Operator):
		return fmt.Sprintf("operator %q must be Exists or Equal", t.Operator)
	case t.Key == "" && !exists:
		return "without a key the operator must be Exists"
	case t.Key != "" && len(keyProblems) > 0:
		return "the key of a taint " + strings.TrimPrefix(keyProblems[0], "name part ")
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

func atLeastOne(path *field.Path, n int) field.ErrorList {
	if n < 1 {
		return field.ErrorList{field.Invalid(path, n, "must be at least 1")}
	}
	return nil
}

func orAnyNumber(path *field.Path, n int64) field.ErrorList {
	if n < 0 {
		return field.ErrorList{field.Invalid(path, n, "must be at least 0, which stands for any number")}
	}
	return nil
}

func positiveNumber(path *field.Path, n float64) field.ErrorList {
	if !(n > 0) {
		return field.ErrorList{field.Invalid(path, n, "must be more than 0")}
	}
	return nil
}

func positive(path *field.Path, d time.Duration) field.ErrorList {
	if d <= 0 {
		return field.ErrorList{field.Invalid(path, d.String(), "must be more than 0")}
	}
	return nil
}

func notNegative(path *field.Path, d time.Duration) field.ErrorList {
	if d < 0 {
		return field.ErrorList{field.Invalid(path, d.String(), "must not be negative")}
	}
	return nil
}

func duration(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
