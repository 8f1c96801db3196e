package quota

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

var (
	// combined is the prefix of Events that Kubernetes has combined because they differ only in random words.
	combined = regexp.MustCompile(`^(\(combined from similar events\): )+`)
	// podName is the Pod's name in a refusal, with a random end that differs each time.
	podName = regexp.MustCompile(`pods "[^"]*" is forbidden`)
	// used is how full the quota was: it changes with every Pod that comes or goes.
	used = regexp.MustCompile(`, used: \S+, limited: `)
)

// Message returns what an Event or kube-apiserver says about a refused Pod, without what is random or changes all the time: the
// Pod's name and what others use of the quota. Refusals for one reason have one message, which need not be written again. Other
// text is returned unchanged.
func Message(text string) string {
	text = combined.ReplaceAllString(text, "")
	text = podName.ReplaceAllString(text, "pods are forbidden")
	return used.ReplaceAllString(text, ", limited: ")
}

// Exceeded reports whether the text says that a ResourceQuota refused a Job or Pod.
func Exceeded(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "exceeded quota") || strings.Contains(text, "failed quota")
}

// neverFits reports whether a refusal holds as long as quota and Spider stay unchanged: the Pod asks for more than the quota's
// limit, or does not say how much it asks for. A limit of zero is not about one Pod but about all: it pauses a namespace.
func neverFits(message string) bool {
	if strings.Contains(message, "failed quota: ") || strings.Contains(message, "insufficient quota to ") {
		return true
	}
	_, rest, ok := strings.Cut(message, ", requested: ")
	if !ok {
		return false
	}
	requested, limits, ok := strings.Cut(rest, ", limited: ")
	if !ok {
		return false
	}
	requested, _, _ = strings.Cut(requested, ", used: ")
	limited := quantities(limits)
	for name, amount := range quantities(requested) {
		if limit, ok := limited[name]; ok && !limit.IsZero() && amount.Cmp(limit) > 0 {
			return true
		}
	}
	return false
}

// quantities parses a list like "cpu=2,pods=1". It ignores what it cannot parse.
func quantities(list string) map[string]resource.Quantity {
	read := map[string]resource.Quantity{}
	for pair := range strings.SplitSeq(list, ",") {
		name, amount, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok {
			continue
		}
		if quantity, err := resource.ParseQuantity(amount); err == nil {
			read[name] = quantity
		}
	}
	return read
}
