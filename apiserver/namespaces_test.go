package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/kube"
)

// Of the namespaces that are served one is gone, or its role, and one has not been read yet: that is the trouble of their callers
// alone.
func TestNamespaceThatCannotBeReadTroublesItsOwnCallersOnly(t *testing.T) {
	f := newTestAPI(t)
	f.health.scopes.Store("team", kube.State{Synced: true})
	f.health.scopes.Store("old", kube.State{Synced: true, Age: 90 * time.Second})
	f.health.scopes.Store("gone", kube.State{Synced: true, Refused: true})
	f.health.scopes.Store("slow", kube.State{})
	for namespace, want := range map[string]struct {
		status int
		age    string
	}{
		"team": {http.StatusOK, ""}, "old": {http.StatusOK, "90"},
		"gone": {http.StatusServiceUnavailable, ""}, "slow": {http.StatusServiceUnavailable, ""},
	} {
		a := f.get(f.key(namespace, ""), "/api/v1/jobs").want(want.status)
		if age := a.header.Get("X-Data-Age"); age != want.age {
			t.Errorf("%s: X-Data-Age is %q, want %q", namespace, age, want.age)
		}
	}
	unknown, wrong := auth.NewKey(), auth.NewKey()
	f.key("team", "", func(key *v1alpha1.APIKey) { wrong.ID = key.Spec.KeyID })
	f.get(unknown.Reveal(), "/api/v1/jobs").wantProblem(http.StatusServiceUnavailable, "unavailable", "key")
	f.get(wrong.Reveal(), "/api/v1/jobs").want(http.StatusUnauthorized)
	f.get("st_nonsense", "/api/v1/jobs").want(http.StatusUnauthorized)
	f.health.scopes.Clear()
	f.get(unknown.Reveal(), "/api/v1/jobs").want(http.StatusUnauthorized)
}

func TestReadyOnceAllThatCanBeReadWasRead(t *testing.T) {
	synced, refused, waiting := kube.State{Synced: true}, kube.State{Refused: true}, kube.State{}
	type readiness struct {
		Status, Message  string
		Waiting, Refused []string
	}
	for _, test := range []struct {
		name   string
		scopes map[string]kube.State
		after  time.Duration
		status int
		want   readiness
	}{
		{"nothing was read", map[string]kube.State{"a": waiting, "b": waiting}, time.Hour, 503, readiness{
			Status: "starting", Message: "The state of the cluster has not been read yet.", Waiting: []string{"a", "b"},
		}},
		{"one is waited for", map[string]kube.State{"a": synced, "b": waiting}, 59 * time.Second, 503, readiness{
			Status: "starting", Waiting: []string{"b"},
			Message: "The state of the cluster has not been read yet. Namespaces whose state has not been read yet: 1.",
		}},
		{"for a minute", map[string]kube.State{"a": synced, "b": waiting}, time.Minute, 200, readiness{
			Status: "ok", Message: "Namespaces whose state has not been read yet: 1.", Waiting: []string{"b"},
		}},
		{"one is refused", map[string]kube.State{"a": synced, "b": refused, "c": {Synced: true, Refused: true}}, 0, 200, readiness{
			Status: "ok", Message: "Namespaces that Kubernetes does not allow this server to read: 2.", Refused: []string{"b", "c"},
		}},
		{"the refused one is old", map[string]kube.State{"a": synced, "b": {Refused: true, Age: time.Hour}}, 0, 200, readiness{
			Status: "ok", Message: "Namespaces that Kubernetes does not allow this server to read: 1.", Refused: []string{"b"},
		}},
		{"all are refused", map[string]kube.State{"a": refused}, time.Hour, 503, readiness{
			Status: "starting", Refused: []string{"a"},
			Message: "The state of the cluster has not been read yet. Namespaces that Kubernetes does not allow this server to read: 1.",
		}},
		{"one is old", map[string]kube.State{"a": synced, "b": {Synced: true, Age: 5 * time.Second}}, 0, 200, readiness{
			Status: "degraded", Message: "No contact with Kubernetes for 5 seconds: reads are that old, writes fail.",
		}},
		{"the whole cluster", map[string]kube.State{"": waiting}, time.Hour, 503, readiness{
			Status: "starting", Message: "The state of the cluster has not been read yet.", Waiting: []string{"all namespaces"},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := newClock()
			registry := prometheus.NewRegistry()
			f := newTestAPI(t, func(c *Config) { c.Now, c.Registry = clock.now, registry })
			for scope, state := range test.scopes {
				f.health.scopes.Store(scope, state)
			}
			clock.advance(test.after)
			probe := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", http.NoBody)
			f.server.guard.Probes(func() error { return nil }).ServeHTTP(probe, request)
			var got readiness
			if err := json.Unmarshal(probe.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(test.want, got); diff != "" || probe.Code != test.status {
				t.Errorf("the kubelet is answered %d, want %d (-want +got):\n%s", probe.Code, test.status, diff)
			}
			test.want.Waiting, test.want.Refused, got = nil, nil, readiness{}
			f.get("", "/readyz").want(test.status).into(&got)
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("the public is told (-want +got):\n%s", diff)
			}
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			measured := map[string]bool{}
			for _, family := range families {
				if family.GetName() == "spider_operator_api_namespace_refused" {
					for _, metric := range family.GetMetric() {
						measured[metric.GetLabel()[0].GetValue()] = metric.GetGauge().GetValue() == 1
					}
				}
			}
			refusals := map[string]bool{}
			for scope, state := range test.scopes {
				refusals[scope] = state.Refused
			}
			if diff := gocmp.Diff(refusals, measured); diff != "" {
				t.Errorf("refused namespaces (-want +measured):\n%s", diff)
			}
		})
	}
}
