package manifests

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestNamespacedModeHoldsNoClusterRoles checks that with watchNamespaces the operator holds the same rules as without, in
// those namespaces only.
func TestNamespacedModeHoldsNoClusterRoles(t *testing.T) {
	wide := roles(t, mustTemplate(t))
	objects := mustTemplate(t, "--set", "watchNamespaces={a,b}", "--set", "rbac.userRoles=false")
	for _, object := range ofKind(objects, "ClusterRole", "ClusterRoleBinding") {
		t.Errorf("%s was rendered", describe(object))
	}
	narrow := roles(t, objects)
	for _, component := range []string{"spider-operator-controller", "spider-operator-apiserver"} {
		for _, namespace := range []string{"a", "b"} {
			if diff := cmp.Diff(wide["/"+component], narrow[namespace+"/"+component]); diff != "" {
				t.Errorf("rules of %s in namespace %s (-cluster mode +namespaced mode):\n%s", component, namespace, diff)
			}
		}
	}
	for _, binding := range typed[rbacv1.RoleBinding](t, ofKind(objects, "RoleBinding")) {
		for _, subject := range binding.Subjects {
			if subject.Namespace != releaseNamespace {
				t.Errorf("RoleBinding %s/%s binds an account of namespace %q", binding.Namespace, binding.Name, subject.Namespace)
			}
		}
	}
}

// roles returns the rules of the Roles and ClusterRoles among objects, by namespace and name.
func roles(t *testing.T, objects []*unstructured.Unstructured) map[string][]rbacv1.PolicyRule {
	t.Helper()
	rules := map[string][]rbacv1.PolicyRule{}
	for _, role := range typed[rbacv1.Role](t, ofKind(objects, "Role", "ClusterRole")) {
		if len(role.Rules) == 0 {
			t.Errorf("role %s has no rules", role.Name)
		}
		rules[role.Namespace+"/"+role.Name] = role.Rules
	}
	return rules
}

// TestTokenReviewsAreGrantedOnlyIfEnabled checks that the ClusterRole for reviews of tokens is there only if it is enabled,
// and grants nothing more.
func TestTokenReviewsAreGrantedOnlyIfEnabled(t *testing.T) {
	const name = "/spider-operator-apiserver-tokens"
	for set, want := range map[string]int{
		"apiserver.kubernetesTokens.enabled=false":                        0,
		"apiserver.kubernetesTokens.enabled=true":                         2,
		"apiserver.kubernetesTokens.enabled=true,watchNamespaces={a}":     2,
		"apiserver.kubernetesTokens.enabled=true,rbac.create=false":       0,
		"apiserver.kubernetesTokens.enabled=true,apiserver.enabled=false": 0,
	} {
		rules := roles(t, mustTemplate(t, "--set", set))
		if len(rules[name]) != want {
			t.Errorf("%s: rules %v, want %d", set, rules[name], want)
		}
		for holder, held := range rules {
			for group, resource := range map[string]string{
				"authentication.k8s.io": "tokenreviews", "authorization.k8s.io": "subjectaccessreviews",
			} {
				verbs := granted(held, group, resource)
				if holder == name && !slices.Equal(verbs, []string{"create"}) || holder != name && len(verbs) > 0 {
					t.Errorf("%s: %s grants %v on %s", set, holder, verbs, resource)
				}
			}
		}
	}
}

// TestProcessesHoldLeastRights checks what neither process may ever do, whatever the values.
func TestProcessesHoldLeastRights(t *testing.T) {
	read := []string{"get", "list", "watch"}
	tests := []struct {
		group, resource       string
		controller, apiserver []string // The only verbs that may be granted.
	}{
		{"", "secrets", nil, nil},
		{"", "configmaps", nil, nil},
		{"", "serviceaccounts", nil, nil},
		{"", "serviceaccounts/token", nil, nil},
		{"", "nodes", nil, nil},
		{"", "pods/exec", nil, nil},
		{"", "pods/attach", nil, nil},
		{"", "pods/ephemeralcontainers", nil, nil},
		{"", "pods", append([]string{"patch", "delete"}, read...), []string{"get"}},
		{"", "pods/log", []string{"get"}, []string{"get"}},
		{"batch", "jobs", append([]string{"create", "delete"}, read...), nil},
		{"rbac.authorization.k8s.io", "roles", nil, nil},
		{"rbac.authorization.k8s.io", "clusterroles", nil, nil},
		{"scrapethis.app", "spiders", read, append([]string{"create", "patch", "delete"}, read...)},
		{"scrapethis.app", "apikeys", read, read},
		{"scrapethis.app", "spiderquotas", read, read},
		{"scrapethis.app", "spiderschedules", read, append([]string{"create", "patch", "delete"}, read...)},
	}
	for rendering, objects := range renderings(t) {
		t.Run(rendering, func(t *testing.T) {
			for name, rules := range processRoles(t, objects) {
				for _, test := range tests {
					allowed := test.controller
					if strings.HasSuffix(name, "-apiserver") {
						allowed = test.apiserver
					}
					for _, verb := range granted(rules, test.group, test.resource) {
						if !slices.Contains(allowed, verb) {
							t.Errorf("%s grants %s on %s", name, verb, test.resource)
						}
					}
				}
			}
		})
	}
}

// TestRESTAPIMayNotWriteSpidersIfCallersMayNot checks that where callers do not change Spiders, the process that they call may
// not either.
func TestRESTAPIMayNotWriteSpidersIfCallersMayNot(t *testing.T) {
	for set, want := range map[string][]string{
		"apiserver.restSpiders=true":  {"create", "delete", "get", "list", "patch", "watch"},
		"apiserver.restSpiders=false": {"get", "list", "watch"},
	} {
		rules := roles(t, mustTemplate(t, "--set", set))["/spider-operator-apiserver"]
		if verbs := granted(rules, "scrapethis.app", "spiders"); !slices.Equal(verbs, want) {
			t.Errorf("%s: the REST API may %v spiders, want %v", set, verbs, want)
		}
		if verbs := granted(rules, "scrapethis.app", "spiderjobs"); !slices.Contains(verbs, "create") {
			t.Errorf("%s: the REST API may %v spiderjobs", set, verbs)
		}
		if verbs := granted(rules, "scrapethis.app", "spiderschedules"); !slices.Contains(verbs, "create") {
			t.Errorf("%s: the REST API may %v spiderschedules", set, verbs)
		}
	}
}

// processRoles returns the rules that the two processes hold: those of roles that are not for people.
func processRoles(t *testing.T, objects []*unstructured.Unstructured) map[string][]rbacv1.PolicyRule {
	t.Helper()
	return roles(t, filter(objects, func(object *unstructured.Unstructured) bool {
		return object.GetLabels()["app.kubernetes.io/component"] != ""
	}))
}

// granted returns the verbs that rules grant on a resource.
func granted(rules []rbacv1.PolicyRule, group, resource string) []string {
	var verbs []string
	matches := func(names []string, name string) bool {
		return slices.Contains(names, name) || slices.Contains(names, "*")
	}
	for _, rule := range rules {
		if matches(rule.APIGroups, group) && matches(rule.Resources, resource) {
			verbs = append(verbs, rule.Verbs...)
		}
	}
	return verbs
}

// TestEditorsWriteSpiderJobsOnly checks that Kubernetes' own role `edit` gains SpiderJobs, and neither Spiders nor APIKeys.
func TestEditorsWriteSpiderJobsOnly(t *testing.T) {
	const aggregate = "rbac.authorization.k8s.io/aggregate-to-edit"
	aggregated := filter(ofKind(mustTemplate(t), "ClusterRole"), func(object *unstructured.Unstructured) bool {
		return object.GetLabels()[aggregate] == "true"
	})
	var rules []rbacv1.PolicyRule
	for _, held := range roles(t, aggregated) {
		rules = append(rules, held...)
	}
	for _, verb := range []string{"create", "delete", "get", "list", "patch", "update", "watch"} {
		if !slices.Contains(granted(rules, "scrapethis.app", "spiderjobs"), verb) {
			t.Errorf("edit does not grant %s on spiderjobs", verb)
		}
	}
	for resource, allowed := range map[string][]string{
		"spiders":           {"get", "list", "watch"},
		"spiderschedules":   {"get", "list", "watch", "create", "delete", "deletecollection", "patch", "update"},
		"spiderjobs/status": {"get", "list", "watch"},
		"spiderquotas":      {"get", "list", "watch"},
		"apikeys":           nil,
	} {
		for _, verb := range granted(rules, "scrapethis.app", resource) {
			if !slices.Contains(allowed, verb) {
				t.Errorf("edit grants %s on %s", verb, resource)
			}
		}
	}

	for _, object := range mustTemplate(t, "--set", "rbac.aggregate=false") {
		if _, labelled := object.GetLabels()[aggregate]; labelled {
			t.Errorf("rbac.aggregate=false: %s is aggregated", describe(object))
		}
	}
}
