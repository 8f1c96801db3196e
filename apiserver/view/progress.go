package view

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// progress is, by the scope of each watch (a namespace, or all of them: ""), the newest resource version that the watch has
// shown. An object that is not in a view and not newer than that no longer exists.
type progress map[string]string

// of returns the progress of the watch of a namespace.
func (p progress) of(namespace string) string { return p[p.scopeOf(namespace)] }

// scopeOf returns the scope of the watch that shows a namespace.
func (p progress) scopeOf(namespace string) string {
	if _, ok := p[namespace]; ok {
		return namespace
	}
	return ""
}

func (p progress) advance(scope, resourceVersion string) {
	if newer(resourceVersion, p[scope]) {
		p[scope] = resourceVersion
	}
}

// newer reports whether resource version a is newer than b. If that cannot be decided, the last one counts as newer.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order > 0
}

// older reports whether resource version a is known to be older than b.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

// number returns a resource version as a number, 0 if it is not one. Kubernetes' own are.
func number(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
