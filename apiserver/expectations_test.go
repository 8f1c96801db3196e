package apiserver

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// expectationsMet gives a job the condition of that status, and violations.
func expectationsMet(status metav1.ConditionStatus, violations ...v1alpha1.Violation) func(*v1alpha1.SpiderJob) {
	return func(job *v1alpha1.SpiderJob) {
		job.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionExpectationsMet, Status: status, Reason: "TooFewRuns", Message: "There are 2 earlier runs, not 5.",
		}}
		job.Status.Violations = violations
	}
}

func inNobodysName(job *v1alpha1.SpiderJob) { job.Spec.UserID = "" }

func TestAJobSaysWhetherItKeptItsExpectations(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	for name, test := range map[string]struct {
		change func(*v1alpha1.SpiderJob)
		want   any
	}{
		"without":  {func(*v1alpha1.SpiderJob) {}, nil},
		"kept":     {expectationsMet("True"), map[string]any{"met": true, "violations": []any{}}},
		"unjudged": {expectationsMet("Unknown"), map[string]any{"message": "There are 2 earlier runs, not 5.", "violations": []any{}}},
		"broken": {
			expectationsMet("False",
				v1alpha1.Violation{Rule: "maxFailedResponsePercent", Expected: "at most 5", Actual: "<6>"},
				v1alpha1.Violation{Rule: "minItems", Expected: "at least 9", Actual: "1"}),
			map[string]any{"met": false, "violations": []any{
				map[string]any{"rule": "max_failed_response_percent", "expected": "at most 5", "actual": "<6>"},
				map[string]any{"rule": "min_items", "expected": "at least 9", "actual": "1"},
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := *f
			f.t = t
			id := f.apply("team", name, finishedJob, inNobodysName, test.change)
			for _, query := range []string{"", "?wait=1s"} {
				var job map[string]any
				f.get(key, "/api/v1/jobs/"+id+query).want(http.StatusOK).into(&job)
				if diff := gocmp.Diff(test.want, job["expectations"]); diff != "" {
					t.Errorf("expectations %s (-want +got):\n%s", query, diff)
				}
			}
		})
	}
}

func TestEventsTellOfBrokenExpectations(t *testing.T) {
	f := newTestAPI(t)
	events := f.open(f.key("team", ""), eventsPath)
	events.want("ready", "")
	f.apply(
		"team", "broken", finishedJob, inNobodysName,
		expectationsMet("False", v1alpha1.Violation{Rule: "minItems", Expected: "at least 9", Actual: "1"}),
	)
	if e := events.event(); !strings.Contains(e.data, `"expectations":{"met":false,"violations":[{"rule":"min_items"`) {
		t.Errorf("the event is %v", e)
	}
}

func TestJobsAreFoundByBrokenExpectations(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	inPhase := func(name string, phase v1alpha1.Phase, changes ...func(*v1alpha1.SpiderJob)) string {
		return f.apply("team", name, append(changes, func(job *v1alpha1.SpiderJob) { job.Status.Phase = phase })...)
	}
	inPhase("none", v1alpha1.PhaseFinished)
	inPhase("kept", v1alpha1.PhaseFinished, expectationsMet("True"))
	inPhase("unjudged", v1alpha1.PhaseFinished, expectationsMet("Unknown"))
	f.apply("team", "another-user", finishedJob, expectationsMet("False"), func(job *v1alpha1.SpiderJob) { job.Spec.UserID = "bob" })
	reported := inPhase("reported", v1alpha1.PhaseFinished, expectationsMet("False"))
	broken := inPhase("broken", v1alpha1.PhaseError, expectationsMet("False"))
	found := func(query string) map[string]bool {
		ids := map[string]bool{}
		for next := "/api/v1/jobs?expectations=failed" + query; next != ""; {
			var jobs []struct{ ID string }
			a := f.get(key, next).want(http.StatusOK)
			a.into(&jobs)
			for _, job := range jobs {
				ids[job.ID] = true
			}
			next = a.next()
		}
		return ids
	}
	for query, want := range map[string][]string{
		"": {reported, broken}, "&limit=1": {reported, broken}, "&status=finished": {reported}, "&status=error&status=error": {broken},
		"&status=error&status=finished&spider_name=books": {reported, broken}, "&status=cancelled": {}, "&spider_name=other": {},
	} {
		ids := map[string]bool{}
		for _, id := range want {
			ids[id] = true
		}
		if diff := gocmp.Diff(ids, found(query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	for _, query := range []string{"met", "Failed", "true"} {
		f.get(key, "/api/v1/jobs?expectations="+query).wantProblem(http.StatusBadRequest, "invalid_request", "expectations", "failed")
	}
	// One that has stalled is found while it runs, until it goes on.
	stalled := inPhase("stalled", v1alpha1.PhaseRunning, expectationsMet("False"), func(job *v1alpha1.SpiderJob) {
		job.Status.Conditions[0].Reason = v1alpha1.ReasonStalled
	})
	if ids := found("&status=running"); !ids[stalled] {
		t.Errorf("found %v, want %s", ids, stalled)
	}
	f.cluster.update(t, "team", "stalled", func(job *v1alpha1.SpiderJob) { job.Status.Conditions = nil })
	if ids := found(""); ids[stalled] || !ids[broken] || !ids[reported] {
		t.Errorf("found %v, want %s and %s", ids, broken, reported)
	}
}

func TestExpectationsReachTheSpiderJob(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books", func(s *v1alpha1.Spider) { s.Spec.Expectations = &v1alpha1.Expectations{MinItems: new(int64(10))} })
	for expectations, want := range map[string]*v1alpha1.Expectations{
		`null`:                             nil,
		`{}`:                               nil,
		`{"min_items": null}`:              nil,
		`{"require_counts": false}`:        {},
		`{"min_items": 10}`:                {MinItems: new(int64(10))},
		`{"max_errors": 9007199254740992}`: {MaxErrors: new(int64(9007199254740992))},
		`{"compared_to_previous": {"min_items_percent": 1000, "runs": null, "same_arguments": null}}`: {
			ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 1000},
		},
		`{"min_items": 11, "max_errors": 0, "max_failed_response_percent": 100, "max_duration_seconds": 31536000,
			"finish_reasons": ["finished", "closespider_*"], "feed_failures": 0, "no_progress_seconds": 60, "on_stall": "retry",
			"compared_to_previous": {"runs": 20, "min_items_percent": 50, "same_arguments": false},
			"on_violation": "error", "require_counts": true}`: {
			MinItems: new(int64(11)), MaxErrors: new(int64(0)), MaxFailedResponsePercent: new(int32(100)),
			MaxDurationSeconds: new(int64(31536000)), FinishReasons: []string{"finished", "closespider_*"}, FeedFailures: new(int64(0)),
			ComparedToPrevious: &v1alpha1.ComparedToPrevious{Runs: 20, MinItemsPercent: 50, SameArguments: new(false)},
			NoProgressSeconds:  new(int64(60)), OnStall: v1alpha1.StallRetry, OnViolation: v1alpha1.ViolationError, RequireCounts: true,
		},
	} {
		t.Run(expectations, func(t *testing.T) {
			f := *f
			f.t = t
			id := f.started(key, `{"spider_name": "books", "expectations": `+expectations+`}`)
			if diff := gocmp.Diff(want, f.cluster.job(t, "team", id).Spec.Expectations); diff != "" {
				t.Errorf("expectations (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadExpectationsAreRefusedByName(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books", func(s *v1alpha1.Spider) {
		s.Spec.Expectations = &v1alpha1.Expectations{
			MinItems: new(int64(100)), MaxErrors: new(int64(5)), FinishReasons: []string{"finished"}, NoProgressSeconds: new(int64(600)),
			ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50},
		}
	})
	f.spider("team", "plain")
	f.spider("team", "script", func(s *v1alpha1.Spider) { s.Spec.Command = []string{"crawl"} })
	f.spider("team", "script-with-log", func(s *v1alpha1.Spider) {
		s.Spec.Command, s.Spec.StatsSource = []string{"crawl"}, v1alpha1.StatsFromScrapy
	})
	reasons := func(n int) string {
		var texts []string
		for i := range n {
			texts = append(texts, fmt.Sprintf(`"r%d"`, i))
		}
		return "[" + strings.Join(texts, ",") + "]"
	}
	for _, test := range []struct {
		spider, expectations string
		says                 []string
	}{
		// What is no rule.
		{"plain", `[]`, []string{"expectations:", "object"}},
		{"plain", `"strict"`, []string{"expectations:", "object"}},
		{"plain", `{"minItems": 1}`, []string{"expectations.minItems", "no such field"}},
		{"plain", `{"min_items": 1, "min_items": 1}`, []string{"expectations.min_items", "twice"}},
		{"plain", `{"min_items": -1}`, []string{"expectations.min_items", "whole number"}},
		{"plain", `{"min_items": 1.5}`, []string{"expectations.min_items", "whole number"}},
		{"plain", `{"min_items": "1"}`, []string{"expectations.min_items", "whole number"}},
		{"plain", `{"min_items": 9007199254740993}`, []string{"expectations.min_items", "9007199254740992"}},
		{"plain", `{"max_errors": true}`, []string{"expectations.max_errors"}},
		{"plain", `{"max_failed_response_percent": 101}`, []string{"expectations.max_failed_response_percent", "100"}},
		{"plain", `{"max_duration_seconds": 0}`, []string{"expectations.max_duration_seconds"}},
		{"plain", `{"finish_reasons": "finished"}`, []string{"expectations.finish_reasons", "array"}},
		{"plain", `{"finish_reasons": []}`, []string{"expectations.finish_reasons", "1 to 32"}},
		{"plain", `{"finish_reasons": ` + reasons(33) + `}`, []string{"expectations.finish_reasons", "1 to 32"}},
		{"plain", `{"finish_reasons": [""]}`, []string{"expectations.finish_reasons", "1 to 128"}},
		{"plain", `{"finish_reasons": ["` + strings.Repeat("é", 129) + `"]}`, []string{"expectations.finish_reasons", "1 to 128"}},
		{"plain", `{"finish_reasons": ["a", "\u0061"]}`, []string{"expectations.finish_reasons", "twice"}},
		{"plain", `{"finish_reasons": [null]}`, []string{"expectations.finish_reasons", "string"}},
		{"plain", `{"finish_reasons": ["\ud800"]}`, []string{"expectations.finish_reasons", "surrogate"}},
		{"plain", `{"compared_to_previous": 90}`, []string{"expectations.compared_to_previous:", "object"}},
		{"plain", `{"compared_to_previous": {}}`, []string{"expectations.compared_to_previous.min_items_percent", "needed"}},
		{"plain", `{"compared_to_previous": {"min_items_percent": 0}}`, []string{"min_items_percent", "1 to 1000"}},
		{"plain", `{"compared_to_previous": {"min_items_percent": 1, "runs": 21}}`, []string{"expectations.compared_to_previous.runs", "20"}},
		{"plain", `{"compared_to_previous": {"min_items_percent": 1, "same_arguments": 1}}`, []string{"same_arguments", "true or false"}},
		{"plain", `{"compared_to_previous": {"min_items_percent": 1, "days": 1}}`, []string{"expectations.compared_to_previous.days", "no such field"}},
		{"plain", `{"no_progress_seconds": 59}`, []string{"expectations.no_progress_seconds", "60"}},
		{"plain", `{"on_stall": "stop"}`, []string{"expectations.on_stall", "no_progress_seconds"}},
		{"plain", `{"no_progress_seconds": 60, "on_stall": "Stop"}`, []string{"expectations.on_stall", "stop, retry or report"}},
		{"plain", `{"on_violation": "ignore"}`, []string{"expectations.on_violation", "error, retry or report"}},
		{"plain", `{"on_violation": 1}`, []string{"expectations.on_violation", "error, retry or report"}},
		{"plain", `{"require_counts": "yes"}`, []string{"expectations.require_counts", "true or false"}},
		{"script", `{"no_progress_seconds": 60}`, []string{"expectations.no_progress_seconds", "log"}},
		// What the spider does not allow.
		{"books", `{"min_items": 99}`, []string{"expectations.min_items", "99", "100"}},
		{"books", `{"max_errors": 6}`, []string{"expectations.max_errors", "6", "5"}},
		{"books", `{"finish_reasons": ["shutdown"]}`, []string{"expectations.finish_reasons", "shutdown", "finished"}},
		{"books", `{"compared_to_previous": {"min_items_percent": 49}}`, []string{"compared_to_previous.min_items_percent", "49", "50"}},
		{"books", `{"compared_to_previous": {"min_items_percent": 50, "runs": 4}}`, []string{"compared_to_previous.runs", "4", "5"}},
		{"books", `{"no_progress_seconds": 601}`, []string{"expectations.no_progress_seconds", "601", "600"}},
		{"books", `{"no_progress_seconds": 600, "on_stall": "report"}`, []string{"expectations.on_stall", "report", "stop"}},
		{"books", `{"on_violation": "report"}`, []string{"expectations.on_violation", "report", "error"}},
		{"plain", `{"feed_failures": 1}`, []string{"expectations.feed_failures", "1", "0"}},
	} {
		t.Run(fmt.Sprintf("%s %.60s", test.spider, test.expectations), func(t *testing.T) {
			f := *f
			f.t = t
			f.start(key, `{"spider_name": "`+test.spider+`", "expectations": `+test.expectations+`}`).
				wantProblem(http.StatusBadRequest, "invalid_request", test.says...)
		})
	}
	if n := f.cluster.count("create"); n != 0 {
		t.Errorf("%d of the refused bodies made a job", n)
	}
	f.started(key, `{"spider_name": "script-with-log", "expectations": {"no_progress_seconds": 60}}`)
}

// Expectations are part of what an Idempotency-Key stands for.
func TestAnotherExpectationIsAnotherStart(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books")
	start := func(expectations string) answer {
		return f.send(call{
			method: http.MethodPost,
			path:   "/api/v1/jobs",
			key:    key,
			body:   `{"spider_name": "books", "expectations": ` + expectations + `}`,
			header: map[string]string{"Content-Type": "application/json", "Idempotency-Key": "nightly"},
		})
	}
	first := start(`{"min_items": 1}`).want(http.StatusOK).body
	if again := start(`{"min_items": 1}`).want(http.StatusOK).body; again != first {
		t.Errorf("the same start again is answered %s, want %s", again, first)
	}
	start(`{"min_items": 2}`).wantProblem(http.StatusConflict, "idempotency_conflict")
}

// TestExpectationsHaveTheSameBoundsEverywhere holds the contract and the reader of bodies to the definition of the resource.
func TestExpectationsHaveTheSameBoundsEverywhere(t *testing.T) {
	type schema struct {
		Minimum    *int64
		Maximum    *int64
		MinItems   *int64
		MaxItems   *int64
		MinLength  *int64
		MaxLength  *int64
		Enum       []string
		Items      *schema
		Properties map[string]schema
	}
	text, err := os.ReadFile("../config/crd/bases/scrapethis.app_spiderjobs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct{ OpenAPIV3Schema schema }
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := yaml.Unmarshal(openAPI, &document); err != nil {
		t.Fatal(err)
	}
	held := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties["expectations"]
	var compare func(path string, held, said schema)
	compare = func(path string, held, said schema) {
		if len(said.Properties) != len(held.Properties) {
			t.Errorf("%s has %d fields, want %d", path, len(said.Properties), len(held.Properties))
		}
		for name, of := range held.Properties {
			contractName := failure.FieldName(name)
			shown, known := said.Properties[contractName]
			if !known {
				t.Errorf("%s.%s: there is no such field in the contract", path, contractName)
			}
			compare(path+"."+contractName, of, shown)
		}
		for i, value := range held.Enum {
			held.Enum[i] = strings.ToLower(value)
		}
		if len(held.Enum) > 0 {
			held.Enum = append(held.Enum, "") // null
		}
		held.Properties, said.Properties = nil, nil
		if diff := gocmp.Diff(held, said, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s (-definition +contract):\n%s", path, diff)
		}
	}
	compare("expectations", held, document.Components.Schemas["Expectations"])

	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books", func(s *v1alpha1.Spider) {
		s.Spec.Expectations = &v1alpha1.Expectations{FeedFailures: new(int64(1 << 53))}
	})
	for name, of := range document.Components.Schemas["Expectations"].Properties {
		if of.Maximum == nil {
			continue
		}
		for value, fine := range map[int64]bool{*of.Minimum - 1: false, *of.Minimum: true, *of.Maximum: true, *of.Maximum + 1: false} {
			status := http.StatusBadRequest
			if fine {
				status = http.StatusOK
			}
			f.start(key, fmt.Sprintf(`{"spider_name": "books", "expectations": {%q: %d}}`, name, value)).want(status)
		}
	}
}
