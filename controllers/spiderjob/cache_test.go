package spiderjob

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/earlier"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// TestCacheDropsMostOfAnEndedSpiderJob checks that the cache keeps little more of an ended SpiderJob than what says when it
// and its Job have to be deleted.
func TestCacheDropsMostOfAnEndedSpiderJob(t *testing.T) {
	full := makeSpiderJob().ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, time.Minute)
	full.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}"}
	full.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"start_url": "https://example.com"}
	full.Spec.TTLSecondsAfterFinished = ptr.To[int64](7200)
	full.Status.Stats = &v1alpha1.Stats{ItemsScraped: 5, Final: true}
	full.Status.ComparisonKey = earlier.KeyOf("spider-1", "shop", full.Spec.Arguments)
	slim := full.DeepCopy()
	slimSpiderJob(slim)
	if slim.Annotations != nil || slim.Spec.Arguments != nil || slim.Status.Stats != nil || len(slim.Status.ComparisonKey) > 24 {
		t.Errorf("it is kept as %+v", slim)
	}
	runs := earlier.New(nil)
	runs.OnAdd(slim, true)
	if items := runs.Last(full.Status.ComparisonKey, false, 1); len(items) != 1 || items[0] != 5 {
		t.Errorf("later runs are compared with %v items, want 5", items)
	}
	for _, age := range []time.Duration{0, 30 * time.Minute, 61 * time.Minute, 2 * time.Hour} {
		now := full.Status.FinishedAt.Add(age)
		job := makeJob(full.SpiderJob)
		a := decide(observe(full).withJob(job).observation, now)
		b := decide(observe(sjBuilder{slim}).withJob(job).observation, now)
		if diff := cmp.Diff([]any{a.action.kind, a.after}, []any{b.action.kind, b.after}); diff != "" {
			t.Errorf("%s after the end the decision is another one (-full +slim):\n%s", age, diff)
		}
	}
}

// TestCacheDropsLongAndUsedArguments checks that the cache drops arguments that are long, or whose Job has been created, and
// that decide notices that they are missing.
func TestCacheDropsLongAndUsedArguments(t *testing.T) {
	arguments := func(bytes int) map[string]v1alpha1.ArgumentValue {
		return map[string]v1alpha1.ArgumentValue{"a": v1alpha1.ArgumentValue(strings.Repeat("x", bytes-1))}
	}
	for _, c := range []struct {
		name  string
		sj    sjBuilder
		bytes int
		held  bool
	}{
		{"few, before the Job", makeSpiderJob(), allowed.KeptArgumentsBytes, true},
		{"many, before the Job", makeSpiderJob(), allowed.KeptArgumentsBytes + 1, false},
		{"few, once the Job is there", makeSpiderJob().running("p"), allowed.KeptArgumentsBytes, false},
		{"none, once the Job is there", makeSpiderJob().running("p"), 0, true},
	} {
		if c.bytes > 0 {
			c.sj.Spec.Arguments = arguments(c.bytes)
		}
		full := len(c.sj.Spec.Arguments)
		slimCachedSpiderJob(c.sj.SpiderJob)
		if held := len(c.sj.Spec.Arguments) == full; held != c.held || argumentsOmitted(c.sj.SpiderJob) == held {
			t.Errorf("%s: held %t, want %t; reported as omitted %t", c.name, held, c.held, argumentsOmitted(c.sj.SpiderJob))
		}
	}
	waiting := makeSpiderJob()
	waiting.Spec.Arguments = arguments(allowed.KeptArgumentsBytes + 1)
	slimCachedSpiderJob(waiting.SpiderJob)
	if d := decide(observe(waiting).old().observation, epoch); d.need != needLive || d.action.kind != doNothing {
		t.Errorf("a Job is to be made of what is held: %s", d)
	}
}

// TestCacheKeepsUnendedSpiderJobsWhole checks that the cache drops nothing of a SpiderJob that has not ended: Jobs are made of
// it, and statuses written.
func TestCacheKeepsUnendedSpiderJobsWhole(t *testing.T) {
	full := makeSpiderJob().running("p").cancelled()
	full.Spec.Arguments = map[string]v1alpha1.ArgumentValue{"start_url": "https://example.com"}
	slim := full.DeepCopy()
	slimSpiderJob(slim)
	if diff := cmp.Diff(full.SpiderJob, slim); diff != "" {
		t.Errorf("it is changed (-full +slim):\n%s", diff)
	}
}
