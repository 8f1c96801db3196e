package allowed

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestARunMayTightenItsSpidersRules(t *testing.T) {
	whole := &v1alpha1.Expectations{
		MinItems: new(int64(100)), MaxErrors: new(int64(5)), MaxFailedResponsePercent: new(int32(20)),
		MaxDurationSeconds: new(int64(600)), FinishReasons: []string{"finished", "closespider_*"}, FeedFailures: new(int64(2)),
		ComparedToPrevious: &v1alpha1.ComparedToPrevious{Runs: 7, MinItemsPercent: 50, SameArguments: new(false)},
		NoProgressSeconds:  new(int64(300)), OnStall: v1alpha1.StallRetry, OnViolation: v1alpha1.ViolationRetry, RequireCounts: true,
	}
	with := func(change func(*v1alpha1.Expectations)) *v1alpha1.Expectations {
		changed := whole.DeepCopy()
		change(changed)
		return changed
	}
	tests := map[string]struct{ spider, job, want *v1alpha1.Expectations }{
		"neither has any":  {nil, nil, nil},
		"the spider alone": {whole, nil, whole},
		"the run alone": {
			nil,
			with(func(e *v1alpha1.Expectations) { e.FeedFailures = nil }),
			with(func(e *v1alpha1.Expectations) { e.FeedFailures = nil }),
		},
		"the run says nothing": {whole, &v1alpha1.Expectations{}, whole},
		"the same":             {whole, whole, whole},
		"a rule more": {
			&v1alpha1.Expectations{MinItems: new(int64(1))},
			&v1alpha1.Expectations{MaxErrors: new(int64(0))},
			&v1alpha1.Expectations{MinItems: new(int64(1)), MaxErrors: new(int64(0))},
		},
		"more items": {
			whole,
			&v1alpha1.Expectations{MinItems: new(int64(101))},
			with(func(e *v1alpha1.Expectations) { e.MinItems = new(int64(101)) }),
		},
		"fewer errors": {
			whole,
			&v1alpha1.Expectations{MaxErrors: new(int64(0))},
			with(func(e *v1alpha1.Expectations) { e.MaxErrors = new(int64(0)) }),
		},
		"fewer failures": {
			whole,
			&v1alpha1.Expectations{MaxFailedResponsePercent: new(int32(0))},
			with(func(e *v1alpha1.Expectations) { e.MaxFailedResponsePercent = new(int32(0)) }),
		},
		"a shorter time": {
			whole,
			&v1alpha1.Expectations{MaxDurationSeconds: new(int64(1))},
			with(func(e *v1alpha1.Expectations) { e.MaxDurationSeconds = new(int64(1)) }),
		},
		"fewer reasons": {
			whole,
			&v1alpha1.Expectations{FinishReasons: []string{"closespider_itemcount"}},
			with(func(e *v1alpha1.Expectations) { e.FinishReasons = []string{"closespider_itemcount"} }),
		},
		"a narrower pattern": {
			whole,
			&v1alpha1.Expectations{FinishReasons: []string{"closespider_t*"}},
			with(func(e *v1alpha1.Expectations) { e.FinishReasons = []string{"closespider_t*"} }),
		},
		"any reason allowed some": {
			&v1alpha1.Expectations{FinishReasons: []string{"*"}},
			&v1alpha1.Expectations{FinishReasons: []string{"a", "b*"}},
			&v1alpha1.Expectations{FinishReasons: []string{"a", "b*"}},
		},
		"fewer failed feeds": {
			whole,
			&v1alpha1.Expectations{FeedFailures: new(int64(1))},
			with(func(e *v1alpha1.Expectations) { e.FeedFailures = new(int64(1)) }),
		},
		"no failed feeds": {
			whole,
			&v1alpha1.Expectations{FeedFailures: new(int64(0))},
			with(func(e *v1alpha1.Expectations) { e.FeedFailures = new(int64(0)) }),
		},
		// The default is an error whatever onViolation says, and goes on to be one.
		"the default of feeds, repeated": {
			nil,
			&v1alpha1.Expectations{FeedFailures: new(int64(0)), OnViolation: v1alpha1.ViolationReport},
			&v1alpha1.Expectations{OnViolation: v1alpha1.ViolationReport},
		},
		"a closer comparison": {
			whole, &v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 51}},
			with(func(e *v1alpha1.Expectations) { e.ComparedToPrevious.MinItemsPercent = 51 }),
		},
		"the same comparison in full": {whole, &v1alpha1.Expectations{ComparedToPrevious: whole.ComparedToPrevious}, whole},
		"a comparison by defaults": {
			&v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50}},
			&v1alpha1.Expectations{
				ComparedToPrevious: &v1alpha1.ComparedToPrevious{Runs: 5, MinItemsPercent: 50, SameArguments: new(true)},
			},
			&v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50}},
		},
		"less patience": {
			whole,
			&v1alpha1.Expectations{NoProgressSeconds: new(int64(60))},
			with(func(e *v1alpha1.Expectations) { e.NoProgressSeconds = new(int64(60)) }),
		},
		"no patience with a stall": {
			whole, &v1alpha1.Expectations{NoProgressSeconds: new(int64(300)), OnStall: v1alpha1.StallStop},
			with(func(e *v1alpha1.Expectations) { e.OnStall = v1alpha1.StallStop }),
		},
		"a stall of its own": {
			&v1alpha1.Expectations{
				MinItems: new(int64(1)),
			},
			&v1alpha1.Expectations{NoProgressSeconds: new(int64(60)), OnStall: v1alpha1.StallReport},
			&v1alpha1.Expectations{MinItems: new(int64(1)), NoProgressSeconds: new(int64(60)), OnStall: v1alpha1.StallReport},
		},
		"a violation is an error": {
			whole,
			&v1alpha1.Expectations{OnViolation: v1alpha1.ViolationError},
			with(func(e *v1alpha1.Expectations) { e.OnViolation = v1alpha1.ViolationError }),
		},
		"rules of its own are only told": {
			nil, &v1alpha1.Expectations{MinItems: new(int64(1)), OnViolation: v1alpha1.ViolationReport},
			&v1alpha1.Expectations{MinItems: new(int64(1)), OnViolation: v1alpha1.ViolationReport},
		},
		"a spider that only watches for stalls leaves violations free": {
			&v1alpha1.Expectations{
				NoProgressSeconds: new(int64(60)),
			},
			&v1alpha1.Expectations{MinItems: new(int64(1)), OnViolation: v1alpha1.ViolationReport},
			&v1alpha1.Expectations{NoProgressSeconds: new(int64(60)), MinItems: new(int64(1)), OnViolation: v1alpha1.ViolationReport},
		},
		"counts are required": {
			&v1alpha1.Expectations{},
			&v1alpha1.Expectations{RequireCounts: true},
			&v1alpha1.Expectations{RequireCounts: true},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spider, job := test.spider.DeepCopy(), test.job.DeepCopy()
			got, err := Tightened(spider, job)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v, %v, want %+v", got, err, test.want)
			}
			if !reflect.DeepEqual(spider, test.spider) || !reflect.DeepEqual(job, test.job) {
				t.Error("the rules that were given are changed")
			}
			// Whatever has been tightened once is held to, and is tightened by nothing that it was made of.
			if again, err := Tightened(got, got); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("by itself: %+v, %v, want %+v", again, err, got)
			}
		})
	}
}

func TestARunNeverLoosensItsSpidersRules(t *testing.T) {
	for field, test := range map[string]struct {
		spider, job *v1alpha1.Expectations
		asked, has  string
	}{
		"minItems":                 {&v1alpha1.Expectations{MinItems: new(int64(100))}, &v1alpha1.Expectations{MinItems: new(int64(99))}, "99", "100"},
		"maxErrors":                {&v1alpha1.Expectations{MaxErrors: new(int64(0))}, &v1alpha1.Expectations{MaxErrors: new(int64(1))}, "1", "0"},
		"maxFailedResponsePercent": {&v1alpha1.Expectations{MaxFailedResponsePercent: new(int32(5))}, &v1alpha1.Expectations{MaxFailedResponsePercent: new(int32(6))}, "6", "5"},
		"maxDurationSeconds":       {&v1alpha1.Expectations{MaxDurationSeconds: new(int64(60))}, &v1alpha1.Expectations{MaxDurationSeconds: new(int64(61))}, "61", "60"},
		"finishReasons":            {&v1alpha1.Expectations{FinishReasons: []string{"finished", "a*"}}, &v1alpha1.Expectations{FinishReasons: []string{"finished", "*"}}, "*", "finished, a*"},
		"feedFailures":             {&v1alpha1.Expectations{MinItems: new(int64(1))}, &v1alpha1.Expectations{FeedFailures: new(int64(1))}, "1", "0"},
		"comparedToPrevious.minItemsPercent": {
			&v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50}},
			&v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 49}}, "49", "50",
		},
		"comparedToPrevious.runs": {
			&v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50}},
			&v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{Runs: 20, MinItemsPercent: 90}}, "20", "5",
		},
		"comparedToPrevious.sameArguments": {
			&v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50}},
			&v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{MinItemsPercent: 50, SameArguments: new(false)}}, "false", "true",
		},
		"noProgressSeconds": {&v1alpha1.Expectations{NoProgressSeconds: new(int64(60))}, &v1alpha1.Expectations{NoProgressSeconds: new(int64(61))}, "61", "60"},
		"onStall": {
			&v1alpha1.Expectations{NoProgressSeconds: new(int64(60))}, &v1alpha1.Expectations{NoProgressSeconds: new(int64(60)), OnStall: v1alpha1.StallRetry},
			"Retry", "Stop",
		},
		"onViolation": {&v1alpha1.Expectations{RequireCounts: true}, &v1alpha1.Expectations{OnViolation: v1alpha1.ViolationReport}, "Report", "Error"},
	} {
		t.Run(field, func(t *testing.T) {
			got, err := Tightened(test.spider, test.job)
			refused, ok := errors.AsType[*RefusedError](err)
			if got != nil || !ok || refused.Field != "expectations."+field || refused.Asked != test.asked || refused.Has != test.has {
				t.Errorf("%+v, %v, want an error about %s, %s and %s", got, err, field, test.asked, test.has)
			}
		})
	}
	t.Run("not even where the spider has no rules", func(t *testing.T) {
		if _, err := Tightened(nil, &v1alpha1.Expectations{FeedFailures: new(int64(1))}); err == nil {
			t.Error("a run of a Spider without expectations may lose data")
		}
	})
	t.Run("by a violation that is less grave than the spider says", func(t *testing.T) {
		order := []v1alpha1.ViolationPolicy{v1alpha1.ViolationReport, v1alpha1.ViolationRetry, v1alpha1.ViolationError}
		for has, spider := range order {
			for asked, job := range order {
				_, err := Tightened(&v1alpha1.Expectations{OnViolation: spider}, &v1alpha1.Expectations{OnViolation: job})
				if (err == nil) != (asked >= has) {
					t.Errorf("%s of a spider's %s: %v", job, spider, err)
				}
			}
		}
	})
}

// A field of Expectations that Tightened does not know would be dropped from a run's rules.
func TestTightenedKnowsEveryRule(t *testing.T) {
	known := []string{
		"MinItems", "MaxErrors", "MaxFailedResponsePercent", "MaxDurationSeconds", "FinishReasons", "FeedFailures",
		"ComparedToPrevious", "NoProgressSeconds", "OnStall", "OnViolation", "RequireCounts",
	}
	for i := range reflect.TypeFor[v1alpha1.Expectations]().NumField() {
		if name := reflect.TypeFor[v1alpha1.Expectations]().Field(i).Name; !slices.Contains(known, name) {
			t.Errorf("%s: say what tightens it", name)
		}
	}
}
