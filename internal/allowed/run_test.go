package allowed

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

func TestWhatASpiderAllowsARun(t *testing.T) {
	bounded := v1alpha1.SpiderSpec{
		AllowedSettings: []string{
			"LOG_LEVEL",
		},
		TimeoutSeconds:       new(int64(60)),
		StartDeadlineSeconds: new(int64(600)),
		Retries:              new(int32(2)),
		Expectations:         &v1alpha1.Expectations{MinItems: new(int64(5))},
	}
	with := func(change func(*v1alpha1.SpiderSpec)) v1alpha1.SpiderSpec {
		changed := *bounded.DeepCopy()
		change(&changed)
		return changed
	}
	stalls := &v1alpha1.Expectations{NoProgressSeconds: new(int64(60))}
	its := Limits{
		TimeoutSeconds:       new(int64(60)),
		StartDeadlineSeconds: new(int64(600)),
		Retries:              2,
		Expectations:         bounded.Expectations,
	}
	for name, test := range map[string]struct {
		spider v1alpha1.SpiderSpec
		asked  v1alpha1.SpiderJobSpec
		want   Limits
		err    string
	}{
		"nothing of a spider without bounds": {},
		"nothing":                            {spider: bounded, want: its},
		"less": {
			spider: bounded,
			asked: v1alpha1.SpiderJobSpec{
				Settings: map[string]v1alpha1.SettingValue{"LOG_LEVEL": "DEBUG"}, TimeoutSeconds: new(int64(59)),
				StartDeadlineSeconds: new(int64(1)), Retries: new(int32(0)), Expectations: &v1alpha1.Expectations{MinItems: new(int64(6))},
			},
			want: Limits{
				TimeoutSeconds: new(int64(59)), StartDeadlineSeconds: new(int64(1)), Expectations: &v1alpha1.Expectations{MinItems: new(int64(6))},
			},
		},
		"as much": {
			spider: bounded,
			asked: v1alpha1.SpiderJobSpec{
				TimeoutSeconds: new(int64(60)), StartDeadlineSeconds: new(int64(600)), Retries: new(int32(2)), Expectations: bounded.Expectations,
			},
			want: its,
		},
		"times where the spider has no limit": {
			asked: v1alpha1.SpiderJobSpec{TimeoutSeconds: new(int64(1)), StartDeadlineSeconds: new(int64(2))},
			want:  Limits{TimeoutSeconds: new(int64(1)), StartDeadlineSeconds: new(int64(2))},
		},
		"to be stopped when it stalls": {asked: v1alpha1.SpiderJobSpec{Expectations: stalls}, want: Limits{Expectations: stalls}},

		"more time": {
			spider: bounded, asked: v1alpha1.SpiderJobSpec{TimeoutSeconds: new(int64(61))},
			err: "timeoutSeconds 61 is more than the 60 that the spider allows",
		},
		"more waiting": {
			spider: bounded, asked: v1alpha1.SpiderJobSpec{StartDeadlineSeconds: new(int64(601))},
			err: "startDeadlineSeconds 601 is more than the 600 that the spider allows",
		},
		"more retries": {
			spider: bounded, asked: v1alpha1.SpiderJobSpec{Retries: new(int32(3))},
			err: "retries 3 is more than the 2 that the spider allows",
		},
		"a retry where the spider says nothing of retries": {
			asked: v1alpha1.SpiderJobSpec{Retries: new(int32(1))}, err: "retries 1 is more than the 0 that the spider allows",
		},
		"another setting": {
			spider: bounded, asked: v1alpha1.SpiderJobSpec{Settings: map[string]v1alpha1.SettingValue{"LOG_LEVEL": "", "FEEDS": "{}"}},
			err: "settings.FEEDS is not among the allowedSettings of the spider",
		},
		"fewer items": {
			spider: bounded, asked: v1alpha1.SpiderJobSpec{Expectations: &v1alpha1.Expectations{MinItems: new(int64(4))}},
			err: "expectations.minItems 4 would loosen the spider's 5",
		},
		"to be stopped when a log that nobody reads stands still": {
			spider: with(func(s *v1alpha1.SpiderSpec) { s.StatsSource = v1alpha1.StatsFromNowhere }),
			asked:  v1alpha1.SpiderJobSpec{Expectations: stalls},
			err:    "expectations.noProgressSeconds needs a spider whose log is read, which statsSource None excludes",
		},
		"nothing of a spider that asks it of itself": {
			spider: v1alpha1.SpiderSpec{Command: []string{"/count"}, Expectations: stalls},
			err:    "which statsSource TerminationMessage excludes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			spider, asked := test.spider.DeepCopy(), test.asked.DeepCopy()
			got, err := Of(spider).Run(asked)
			wantRefused(t, err, test.err)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%+v, want %+v", got, test.want)
			}
			if !reflect.DeepEqual(*spider, test.spider) || !reflect.DeepEqual(*asked, test.asked) {
				t.Error("what was given is changed")
			}
		})
	}
}

func TestArgumentsOfARun(t *testing.T) {
	many := map[string]v1alpha1.ArgumentValue{}
	for i := range MaxArguments {
		many[strings.Repeat("x", i+1)] = ""
	}
	for name, test := range map[string]struct {
		arguments map[string]v1alpha1.ArgumentValue
		err       string
	}{
		"none":             {},
		"any text":         {arguments: map[string]v1alpha1.ArgumentValue{"a": "=-\n$(HOME)", "é b": "ü"}},
		"as many as may":   {arguments: many},
		"as much as may":   {arguments: map[string]v1alpha1.ArgumentValue{"é": v1alpha1.ArgumentValue(strings.Repeat("x", MaxArgumentsBytes-2))}},
		"the longest name": {arguments: map[string]v1alpha1.ArgumentValue{strings.Repeat("é", MaxArgumentName): ""}},

		"too much": {
			arguments: map[string]v1alpha1.ArgumentValue{"é": v1alpha1.ArgumentValue(strings.Repeat("x", MaxArgumentsBytes-1))},
			err:       "arguments may have at most 32768 bytes, names and values together",
		},
		"a name that is too long": {
			arguments: map[string]v1alpha1.ArgumentValue{strings.Repeat("é", MaxArgumentName+1): ""}, err: "must have a name of at most 256 characters",
		},
		"no name":        {arguments: map[string]v1alpha1.ArgumentValue{"": ""}, err: `arguments."" must have a name that is not empty`},
		"a NUL":          {arguments: map[string]v1alpha1.ArgumentValue{"a": "b\x00"}, err: "arguments.a must not contain a NUL character"},
		"an option":      {arguments: map[string]v1alpha1.ArgumentValue{"-a": ""}, err: "arguments.-a must have a name"},
		"two in one":     {arguments: map[string]v1alpha1.ArgumentValue{"a=b": ""}, err: "arguments.a=b must have a name"},
		"a line of text": {arguments: map[string]v1alpha1.ArgumentValue{"a\n": ""}, err: `arguments."a\n" must have a name`},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, Arguments(test.arguments), test.err) })
	}
	many["y"] = ""
	wantRefused(t, Arguments(many), "arguments may be at most 128")
}

// wantRefused fails the test unless err is a *RefusedError that says so, or nil where that is nothing.
func wantRefused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || want == "" {
		if err != nil || want != "" {
			t.Errorf("error %v, want %q", err, want)
		}
		return
	}
	if _, ok := errors.AsType[*RefusedError](err); !ok || !strings.Contains(err.Error(), want) {
		t.Errorf("error %T %v, want %q", err, err, want)
	}
}

func TestARefusalInTheWordsOfAnotherFace(t *testing.T) {
	_, err := Tightened(
		&v1alpha1.Expectations{OnViolation: v1alpha1.ViolationError},
		&v1alpha1.Expectations{OnViolation: v1alpha1.ViolationRetry},
	)
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Problem(strings.ToLower) != "retry would loosen the spider's error" {
		t.Errorf("%v", err)
	}
}
