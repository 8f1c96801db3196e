package earlier

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

type arguments = map[string]v1alpha1.ArgumentValue

// ended is a SpiderJob that has finished, as the cache keeps it.
func ended(key string, at time.Duration, items int64) *v1alpha1.SpiderJob {
	finished := metav1.NewTime(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(at))
	st := v1alpha1.SpiderJobStatus{
		Phase: v1alpha1.PhaseFinished, FinishedAt: &finished, ComparisonKey: key,
		Stats: &v1alpha1.Stats{ItemsScraped: items, Final: true},
	}
	st.ComparisonKey = Pack(&st)
	st.Stats = nil
	return &v1alpha1.SpiderJob{Status: st}
}

func TestKeyDependsOnSpiderUserAndArguments(t *testing.T) {
	seen := map[string]string{}
	for name, key := range map[string]string{
		"plain":         KeyOf("uid-1", "", nil),
		"other spider":  KeyOf("uid-2", "", nil),
		"user":          KeyOf("uid-1", "ann", nil),
		"moved":         KeyOf("uid-1ann", "", nil),
		"argument":      KeyOf("uid-1", "", arguments{"a": "b"}),
		"two":           KeyOf("uid-1", "", arguments{"a": "b", "c": "d"}),
		"shifted":       KeyOf("uid-1", "", arguments{"a": "bc", "": "d"}),
		"empty":         KeyOf("uid-1", "", arguments{"": ""}),
		"all of before": KeyOf("uid-1", "ann", arguments{"a": "b", "c": "d"}),
	} {
		if other, twice := seen[key]; twice {
			t.Errorf("%s and %s have the same key", name, other)
		}
		if seen[key] = name; len(key) != 22 {
			t.Errorf("%s has a key of %d characters", name, len(key))
		}
	}
	if KeyOf("uid-1", "", arguments{"x": "1", "y": "2"}) != KeyOf("uid-1", "", arguments{"y": "2", "x": "1"}) {
		t.Error("the key depends on the order of arguments")
	}
}

func TestPackKeepsOnlyWhatIsCompared(t *testing.T) {
	key := KeyOf("uid-1", "", nil)
	status := func(change func(*v1alpha1.SpiderJobStatus)) *v1alpha1.SpiderJobStatus {
		st := &v1alpha1.SpiderJobStatus{
			Phase:         v1alpha1.PhaseFinished,
			ComparisonKey: key,
			Stats:         &v1alpha1.Stats{ItemsScraped: 5, Final: true},
		}
		change(st)
		return st
	}
	for name, st := range map[string]*v1alpha1.SpiderJobStatus{
		"an error":            status(func(st *v1alpha1.SpiderJobStatus) { st.Phase = v1alpha1.PhaseError }),
		"no counts":           status(func(st *v1alpha1.SpiderJobStatus) { st.Stats = nil }),
		"counts of nobody":    status(func(st *v1alpha1.SpiderJobStatus) { st.Stats.Final = false }),
		"no key":              status(func(st *v1alpha1.SpiderJobStatus) { st.ComparisonKey = "" }),
		"somebody else's key": status(func(st *v1alpha1.SpiderJobStatus) { st.ComparisonKey = "not ours" }),
	} {
		if got := Pack(st); got != "" {
			t.Errorf("%s is kept", name)
		}
	}
	st := status(func(*v1alpha1.SpiderJobStatus) {})
	st.ComparisonKey = Pack(st)
	if st.Stats = nil; len(st.ComparisonKey) != 24 || Pack(st) != st.ComparisonKey {
		t.Error("what is packed does not stay as it is")
	}
}

func TestLastRuns(t *testing.T) {
	one, other, elsewhere := KeyOf("uid-1", "", nil), KeyOf("uid-1", "", arguments{"a": "1"}), KeyOf("uid-2", "", nil)
	r := New(nil)
	first := ended(one, 1*time.Minute, 10)
	r.OnAdd(ended(one, 3*time.Minute, 30), true)
	r.OnAdd(first, true) // lists come in any order
	r.OnAdd(ended(other, 2*time.Minute, 20), true)
	r.OnAdd(&v1alpha1.SpiderJob{}, true)
	running := &v1alpha1.SpiderJob{}
	r.OnUpdate(running, ended(one, 4*time.Minute, 40))
	for _, c := range []struct {
		name string
		key  string
		any  bool
		n    int
		want []int64
	}{
		{"newest first", one, false, 5, []int64{40, 30, 10}},
		{"no more than asked for", one, false, 2, []int64{40, 30}},
		{"other arguments", other, false, 5, []int64{20}},
		{"any arguments", other, true, 3, []int64{40, 30, 20}},
		{"another spider", elsewhere, true, 5, nil},
		{"no key", "", true, 5, nil},
	} {
		if diff := cmp.Diff(c.want, r.Last(c.key, c.any, c.n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	r.OnDelete(toolscache.DeletedFinalStateUnknown{Obj: first})
	r.OnDelete(running)
	r.OnUpdate(first, first) // what is gone does not come back
	if diff := cmp.Diff([]int64{40, 30}, r.Last(one, false, 5)); diff != "" {
		t.Errorf("once one is gone (-want +got):\n%s", diff)
	}
}

// TestRunsAreThoseOfTheExistingSpiderJobs checks that whatever SpiderJobs come and go, the runs are those of the SpiderJobs
// that exist.
func TestRunsAreThoseOfTheExistingSpiderJobs(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := New(nil)
	var there []*v1alpha1.SpiderJob
	for range 5000 {
		if len(there) > 0 && random.IntN(3) == 0 {
			i := random.IntN(len(there))
			r.OnDelete(there[i])
			there = slices.Delete(there, i, i+1)
			continue
		}
		key := KeyOf(types.UID(rune('a'+random.IntN(3))), "", arguments{"n": v1alpha1.ArgumentValue(rune('a' + random.IntN(2)))})
		sj := ended(key, time.Duration(random.IntN(100))*time.Second, int64(random.IntN(5)))
		r.OnAdd(sj, false)
		there = append(there, sj)
	}
	kept := 0
	for _, runs := range r.of {
		kept += len(runs)
		if !slices.IsSortedFunc(runs, byTime) {
			t.Error("runs are out of order")
		}
	}
	if kept != len(there) {
		t.Errorf("%d runs are known, of %d that there are", kept, len(there))
	}
	for _, sj := range there {
		r.OnDelete(sj)
	}
	if len(r.of) != 0 {
		t.Errorf("of %d Spiders something is kept though nothing is there", len(r.of))
	}
}
