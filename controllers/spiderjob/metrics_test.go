package spiderjob

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestMetricsCountWhatAWriteChanges checks that a status write adds to the metrics what it has changed: each change is counted
// once.
func TestMetricsCountWhatAWriteChanges(t *testing.T) {
	pending := makeSpiderJob()
	running := makeSpiderJob().running("p")
	ended := running.DeepCopy()
	ended.Status.Phase, ended.Status.Reason = v1alpha1.PhaseError, v1alpha1.ReasonOutOfMemory
	ended.Status.FinishedAt = ptr.To(at(62 * time.Second))
	ended.Status.Stats = &v1alpha1.Stats{ItemsScraped: 7, Requests: ptr.To[int64](9), Source: v1alpha1.OriginScrapyLog}
	job := makeJob(pending.SpiderJob)
	job.CreationTimestamp = at(time.Second)

	stalled := makeSpiderJob().stalled()
	judged := stalled.DeepCopy()
	judged.Status.Phase, judged.Status.Reason, judged.Status.FinishedAt = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, ptr.To(
		at(62*time.Second),
	)

	tests := map[string]struct {
		before sjBuilder
		after  v1alpha1.SpiderJobStatus
		want   advance
	}{
		"a first start": {
			before: pending, after: running.Status,
			want: advance{started: true, queued: time.Second, starting: time.Second},
		},
		"an end": {
			before: running, after: ended.Status,
			want: advance{
				ended: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfMemory, hasRun: true, ran: time.Minute, items: 7, requests: 9,
			},
		},
		"a start and an end at once": {
			before: pending, after: ended.Status,
			want: advance{
				started: true, queued: time.Second, starting: time.Second,
				ended: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfMemory, hasRun: true, ran: time.Minute, items: 7, requests: 9,
			},
		},
		"other counts of one that runs": {before: running, after: func() v1alpha1.SpiderJobStatus {
			st := *running.Status.DeepCopy()
			st.Stats = &v1alpha1.Stats{ItemsScraped: 5}
			return st
		}()},
		"an interruption after another": {
			before: running.interrupted(1), after: makeSpiderJob().running("p").interrupted(2).Status,
			want: advance{interruptions: 1},
		},
		"a stall": {before: running, after: stalled.Status, want: advance{stalled: true}},
		"a stall that was told before, and the end of it": {
			before: stalled, after: judged.Status, want: advance{
				ended: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, hasRun: true, ran: time.Minute, expectations: "broken",
			},
		},
		"an end that is there already": {before: sjBuilder{ended}, after: ended.Status},
		"an end before any start": {
			before: pending,
			after: v1alpha1.SpiderJobStatus{
				Phase: v1alpha1.PhaseCancelled, Reason: v1alpha1.ReasonCancelled, FinishedAt: ptr.To(at(time.Second)),
				Stats: &v1alpha1.Stats{Source: v1alpha1.OriginNone},
			},
			want: advance{ended: v1alpha1.PhaseCancelled, reason: v1alpha1.ReasonCancelled},
		},
		"counts beyond belief": {
			before: running,
			after: v1alpha1.SpiderJobStatus{
				Phase:      v1alpha1.PhaseFinished,
				Reason:     v1alpha1.ReasonCompleted,
				StartedAt:  running.Status.StartedAt,
				FinishedAt: running.Status.StartedAt,
				Stats:      &v1alpha1.Stats{ItemsScraped: math.MaxInt64, Requests: ptr.To[int64](math.MaxInt64)},
			},
			want: advance{
				ended: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, hasRun: true, items: maxCounted, requests: maxCounted,
			},
		},
		"clocks that jump": {
			before: running,
			after: v1alpha1.SpiderJobStatus{
				Phase:      v1alpha1.PhaseFinished,
				Reason:     v1alpha1.ReasonCompleted,
				StartedAt:  running.Status.StartedAt,
				FinishedAt: ptr.To(at(0)),
			},
			want: advance{ended: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, hasRun: true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := advanceTo(observe(test.before).withJob(job).observation, &test.after)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(advance{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAStartWithoutItsJobHasNoWaitingTime checks that a start is not observed as a waiting time if its Job is gone.
func TestAStartWithoutItsJobHasNoWaitingTime(t *testing.T) {
	if p := advanceTo(observe(makeSpiderJob()).observation, &makeSpiderJob().running("p").Status); p.started {
		t.Errorf("counted %+v", p)
	}
}

// TestMetricsCountProgress checks that changed counts are added to their metrics, and to no other metric.
func TestMetricsCountProgress(t *testing.T) {
	before := samples(t)
	advance{
		started:       true,
		queued:        2 * time.Second,
		starting:      3 * time.Second,
		ended:         v1alpha1.PhaseFinished,
		reason:        v1alpha1.ReasonCompleted,
		hasRun:        true,
		ran:           time.Minute,
		items:         7,
		requests:      9,
		interruptions: 2,
		expectations:  "broken",
		stalled:       true,
	}.count()
	want := map[string]float64{
		"spider_operator_job_queue_duration_seconds":          2,
		"spider_operator_job_start_duration_seconds":          3,
		"spider_operator_job_run_duration_seconds Finished":   60,
		"spider_operator_jobs_ended_total Finished Completed": 1,
		"spider_operator_spider_items_total":                  7,
		"spider_operator_spider_requests_total":               9,
		"spider_operator_job_interruptions_total":             2,
		"spider_operator_job_expectations_total broken":       1,
		"spider_operator_job_stalls_total":                    1,
	}
	if diff := cmp.Diff(want, added(before, samples(t))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	before = samples(t)
	advance{}.count()
	if diff := added(before, samples(t)); len(diff) > 0 {
		t.Errorf("a write that changed nothing was counted: %v", diff)
	}
}

func TestStatusWritesAreCountedByResult(t *testing.T) {
	of := schema.GroupResource{Resource: "spiderjobs"}
	for want, err := range map[string]error{
		writeDone:     nil,
		writeConflict: apierrors.NewConflict(of, "run", errors.New("changed")),
		writeGone:     apierrors.NewNotFound(of, "run"),
		writeFailed:   errors.New("no route"),
	} {
		if got := writeResult(err); got != want {
			t.Errorf("%v is counted as %s, want %s", err, got, want)
		}
	}
}

// statusWriter is a client that can do no more than write statuses, and answers with err.
type statusWriter struct {
	client.Client
	err error
}

func (w *statusWriter) Status() client.SubResourceWriter { return statusOf{writer: w} }

type statusOf struct {
	client.SubResourceWriter
	writer *statusWriter
}

func (s statusOf) Update(context.Context, client.Object, ...client.SubResourceUpdateOption) error {
	return s.writer.err
}

// TestOnlyWrittenChangesAreCounted checks that an end is counted once, when it was written, and not again by a process that
// finds it recorded.
func TestOnlyWrittenChangesAreCounted(t *testing.T) {
	writer := &statusWriter{err: errors.New("no route")}
	r := &Reconciler{client: writer, clock: clocktesting.NewFakeClock(epoch.Add(time.Minute)), events: events.NewFakeRecorder(1)}
	o := observe(makeSpiderJob().running("p")).observation
	end := *o.sj.Status.DeepCopy()
	end.Phase, end.Reason, end.FinishedAt = v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, ptr.To(at(time.Minute))
	end.Stats = &v1alpha1.Stats{ItemsScraped: 5}

	before := samples(t)
	if err := r.record(t.Context(), o, &jobMemory{}, end); err == nil {
		t.Fatal("a write that failed is no error")
	}
	failed := samples(t)
	if diff := cmp.Diff(map[string]float64{"spider_operator_status_writes_total failed": 1}, added(before, failed)); diff != "" {
		t.Errorf("after a write that failed (-want +got):\n%s", diff)
	}

	writer.err = nil
	mem := &jobMemory{}
	if err := r.record(t.Context(), o, mem, end); err != nil {
		t.Fatal(err)
	}
	written := samples(t)
	want := map[string]float64{
		"spider_operator_status_writes_total written":         1,
		"spider_operator_jobs_ended_total Finished Completed": 1,
		"spider_operator_job_run_duration_seconds Finished":   58,
		"spider_operator_spider_items_total":                  5,
	}
	if diff := cmp.Diff(want, added(failed, written)); diff != "" {
		t.Errorf("after the write (-want +got):\n%s", diff)
	}

	again := &observation{sj: mem.written, defaults: testDefaults()}
	if err := r.record(t.Context(), again, &jobMemory{}, decide(again, epoch.Add(time.Hour)).status); err != nil {
		t.Fatal(err)
	}
	if diff := added(written, samples(t)); len(diff) > 0 {
		t.Errorf("found recorded, it was counted again: %v", diff)
	}
}

// TestMetricsKnowEveryReason checks that the metrics have every reason of the API, those of ends with the phases that the API
// documents, and no other.
func TestMetricsKnowEveryReason(t *testing.T) {
	documented, all := documentedReasons(t)
	for phase, reasons := range ends {
		slices.Sort(reasons)
		slices.Sort(documented[phase])
		if diff := cmp.Diff(documented[phase], reasons); diff != "" {
			t.Errorf("%s (-api +metrics):\n%s", phase, diff)
		}
	}
	known := slices.Collect(maps.Values(reasons))
	slices.Sort(known)
	slices.Sort(all)
	if diff := cmp.Diff(all, slices.Compact(known)); diff != "" {
		t.Errorf("(-api +metrics):\n%s", diff)
	}
	if got := knownReason("WrittenBySomebodyElse"); got != otherReason {
		t.Errorf("an unknown reason is shown as %s", got)
	}
}

// documentedReasons reads from reasons.go which reasons there are, and which of them each terminal phase has.
func documentedReasons(t *testing.T) (of map[v1alpha1.Phase][]string, all []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../api/v1alpha1/reasons.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	of = map[v1alpha1.Phase][]string{}
	for _, declaration := range file.Decls {
		constants, ok := declaration.(*ast.GenDecl)
		if !ok || constants.Tok != token.CONST {
			continue
		}
		for _, spec := range constants.Specs {
			constant := spec.(*ast.ValueSpec)
			value, err := strconv.Unquote(constant.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, value)
			for phase := range ends {
				text := strings.ReplaceAll(constant.Doc.Text(), "\n", " ")
				if strings.Contains(text, "with "+string(phase)+":") || strings.Contains(text, "with "+string(phase)+" ") {
					of[phase] = append(of[phase], value)
				}
			}
		}
	}
	return of, all
}

// samples are the present values of the operator's own metrics, by name and label values: of histograms the sum.
func samples(t *testing.T) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if _, err := RegisterMetrics(registry); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "spider_operator_") {
			continue
		}
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetHistogram().GetSampleSum()
		}
	}
	return values
}

// added is by how much samples have grown.
func added(before, after map[string]float64) map[string]float64 {
	grown := map[string]float64{}
	for name, value := range after {
		if value != before[name] {
			grown[name] = value - before[name]
		}
	}
	return grown
}
