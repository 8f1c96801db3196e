package v1alpha1

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

func TestARunMayTightenItsSpidersRules(t *testing.T) {
	whole := &Expectations{
		MinItems: new(int64(100)), MaxErrors: new(int64(5)), MaxFailedResponsePercent: new(int32(20)),
		MaxDurationSeconds: new(int64(600)), FinishReasons: []string{"finished", "closespider_*"}, FeedFailures: new(int64(2)),
		ComparedToPrevious: &ComparedToPrevious{Runs: 7, MinItemsPercent: 50, SameArguments: new(false)},
		NoProgressSeconds:  new(int64(300)), OnStall: StallRetry, OnViolation: ViolationRetry, RequireCounts: true,
	}
	with := func(change func(*Expectations)) *Expectations {
		changed := whole.DeepCopy()
		change(changed)
		return changed
	}
	tests := map[string]struct{ spider, job, want *Expectations }{
		"neither has any":         {nil, nil, nil},
		"the spider alone":        {whole, nil, whole},
		"the run alone":           {nil, with(func(e *Expectations) { e.FeedFailures = nil }), with(func(e *Expectations) { e.FeedFailures = nil })},
		"the run says nothing":    {whole, &Expectations{}, whole},
		"the same":                {whole, whole, whole},
		"a rule more":             {&Expectations{MinItems: new(int64(1))}, &Expectations{MaxErrors: new(int64(0))}, &Expectations{MinItems: new(int64(1)), MaxErrors: new(int64(0))}},
		"more items":              {whole, &Expectations{MinItems: new(int64(101))}, with(func(e *Expectations) { e.MinItems = new(int64(101)) })},
		"fewer errors":            {whole, &Expectations{MaxErrors: new(int64(0))}, with(func(e *Expectations) { e.MaxErrors = new(int64(0)) })},
		"fewer failures":          {whole, &Expectations{MaxFailedResponsePercent: new(int32(0))}, with(func(e *Expectations) { e.MaxFailedResponsePercent = new(int32(0)) })},
		"a shorter time":          {whole, &Expectations{MaxDurationSeconds: new(int64(1))}, with(func(e *Expectations) { e.MaxDurationSeconds = new(int64(1)) })},
		"fewer reasons":           {whole, &Expectations{FinishReasons: []string{"closespider_itemcount"}}, with(func(e *Expectations) { e.FinishReasons = []string{"closespider_itemcount"} })},
		"a narrower pattern":      {whole, &Expectations{FinishReasons: []string{"closespider_t*"}}, with(func(e *Expectations) { e.FinishReasons = []string{"closespider_t*"} })},
		"any reason allowed some": {&Expectations{FinishReasons: []string{"*"}}, &Expectations{FinishReasons: []string{"a", "b*"}}, &Expectations{FinishReasons: []string{"a", "b*"}}},
		"fewer failed feeds":      {whole, &Expectations{FeedFailures: new(int64(1))}, with(func(e *Expectations) { e.FeedFailures = new(int64(1)) })},
		"no failed feeds":         {whole, &Expectations{FeedFailures: new(int64(0))}, with(func(e *Expectations) { e.FeedFailures = new(int64(0)) })},
		// The default is an error whatever onViolation says, and goes on to be one.
		"the default of feeds, repeated": {nil, &Expectations{FeedFailures: new(int64(0)), OnViolation: ViolationReport}, &Expectations{OnViolation: ViolationReport}},
		"a closer comparison": {
			whole, &Expectations{ComparedToPrevious: &ComparedToPrevious{MinItemsPercent: 51}},
			with(func(e *Expectations) { e.ComparedToPrevious.MinItemsPercent = 51 }),
		},
		"the same comparison in full": {whole, &Expectations{ComparedToPrevious: whole.ComparedToPrevious}, whole},
		"a comparison by defaults": {
			&Expectations{ComparedToPrevious: &ComparedToPrevious{MinItemsPercent: 50}},
			&Expectations{ComparedToPrevious: &ComparedToPrevious{Runs: 5, MinItemsPercent: 50, SameArguments: new(true)}},
			&Expectations{ComparedToPrevious: &ComparedToPrevious{MinItemsPercent: 50}},
		},
		"less patience": {whole, &Expectations{NoProgressSeconds: new(int64(60))}, with(func(e *Expectations) { e.NoProgressSeconds = new(int64(60)) })},
		"no patience with a stall": {
			whole, &Expectations{NoProgressSeconds: new(int64(300)), OnStall: StallStop},
			with(func(e *Expectations) { e.OnStall = StallStop }),
		},
		"a stall of its own": {
			&Expectations{MinItems: new(int64(1))}, &Expectations{NoProgressSeconds: new(int64(60)), OnStall: StallReport},
			&Expectations{MinItems: new(int64(1)), NoProgressSeconds: new(int64(60)), OnStall: StallReport},
		},
		"a violation is an error": {whole, &Expectations{OnViolation: ViolationError}, with(func(e *Expectations) { e.OnViolation = ViolationError })},
		"rules of its own are only told": {
			nil, &Expectations{MinItems: new(int64(1)), OnViolation: ViolationReport},
			&Expectations{MinItems: new(int64(1)), OnViolation: ViolationReport},
		},
		"a spider that only watches for stalls leaves violations free": {
			&Expectations{NoProgressSeconds: new(int64(60))}, &Expectations{MinItems: new(int64(1)), OnViolation: ViolationReport},
			&Expectations{NoProgressSeconds: new(int64(60)), MinItems: new(int64(1)), OnViolation: ViolationReport},
		},
		"counts are required": {&Expectations{}, &Expectations{RequireCounts: true}, &Expectations{RequireCounts: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			spider, job := test.spider.DeepCopy(), test.job.DeepCopy()
			got, err := spider.Tightened(job)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v, %v, want %+v", got, err, test.want)
			}
			if !reflect.DeepEqual(spider, test.spider) || !reflect.DeepEqual(job, test.job) {
				t.Error("the rules that were given are changed")
			}
			// Whatever has been tightened once is held to, and is tightened by nothing that it was made of.
			if again, err := got.Tightened(got); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("by itself: %+v, %v, want %+v", again, err, got)
			}
		})
	}
}

func TestARunNeverLoosensItsSpidersRules(t *testing.T) {
	for field, test := range map[string]struct {
		spider, job *Expectations
		asked, has  string
	}{
		"minItems":                 {&Expectations{MinItems: new(int64(100))}, &Expectations{MinItems: new(int64(99))}, "99", "100"},
		"maxErrors":                {&Expectations{MaxErrors: new(int64(0))}, &Expectations{MaxErrors: new(int64(1))}, "1", "0"},
		"maxFailedResponsePercent": {&Expectations{MaxFailedResponsePercent: new(int32(5))}, &Expectations{MaxFailedResponsePercent: new(int32(6))}, "6", "5"},
		"maxDurationSeconds":       {&Expectations{MaxDurationSeconds: new(int64(60))}, &Expectations{MaxDurationSeconds: new(int64(61))}, "61", "60"},
		"finishReasons":            {&Expectations{FinishReasons: []string{"finished", "a*"}}, &Expectations{FinishReasons: []string{"finished", "*"}}, "*", "finished, a*"},
		"feedFailures":             {&Expectations{MinItems: new(int64(1))}, &Expectations{FeedFailures: new(int64(1))}, "1", "0"},
		"comparedToPrevious.minItemsPercent": {
			&Expectations{ComparedToPrevious: &ComparedToPrevious{MinItemsPercent: 50}},
			&Expectations{ComparedToPrevious: &ComparedToPrevious{MinItemsPercent: 49}}, "49", "50",
		},
		"comparedToPrevious.runs": {
			&Expectations{ComparedToPrevious: &ComparedToPrevious{MinItemsPercent: 50}},
			&Expectations{ComparedToPrevious: &ComparedToPrevious{Runs: 20, MinItemsPercent: 90}}, "20", "5",
		},
		"comparedToPrevious.sameArguments": {
			&Expectations{ComparedToPrevious: &ComparedToPrevious{MinItemsPercent: 50}},
			&Expectations{ComparedToPrevious: &ComparedToPrevious{MinItemsPercent: 50, SameArguments: new(false)}}, "false", "true",
		},
		"noProgressSeconds": {&Expectations{NoProgressSeconds: new(int64(60))}, &Expectations{NoProgressSeconds: new(int64(61))}, "61", "60"},
		"onStall": {
			&Expectations{NoProgressSeconds: new(int64(60))}, &Expectations{NoProgressSeconds: new(int64(60)), OnStall: StallRetry},
			"Retry", "Stop",
		},
		"onViolation": {&Expectations{RequireCounts: true}, &Expectations{OnViolation: ViolationReport}, "Report", "Error"},
	} {
		t.Run(field, func(t *testing.T) {
			got, err := test.spider.Tightened(test.job)
			loosened, ok := errors.AsType[*LoosenedError](err)
			if got != nil || !ok || *loosened != (LoosenedError{Field: field, Asked: test.asked, Has: test.has}) {
				t.Errorf("%+v, %v, want an error about %s, %s and %s", got, err, field, test.asked, test.has)
			}
		})
	}
	t.Run("not even where the spider has no rules", func(t *testing.T) {
		var none *Expectations
		if _, err := none.Tightened(&Expectations{FeedFailures: new(int64(1))}); err == nil {
			t.Error("a run of a Spider without expectations may lose data")
		}
	})
	t.Run("by a violation that is less grave than the spider says", func(t *testing.T) {
		order := []ViolationPolicy{ViolationReport, ViolationRetry, ViolationError}
		for has, spider := range order {
			for asked, job := range order {
				_, err := (&Expectations{OnViolation: spider}).Tightened(&Expectations{OnViolation: job})
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
	for i := range reflect.TypeFor[Expectations]().NumField() {
		if name := reflect.TypeFor[Expectations]().Field(i).Name; !slices.Contains(known, name) {
			t.Errorf("%s: say what tightens it", name)
		}
	}
}
