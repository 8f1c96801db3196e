package allowed

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Rules are what a Spider allows its runs.
type Rules struct {
	// Settings are the names of the settings that a run may set.
	Settings []string
	// TimeoutSeconds and StartDeadlineSeconds are the Spider's own, and the largest that a run may have; nil for no limit.
	TimeoutSeconds, StartDeadlineSeconds *int64
	// Retries are the Spider's own, and the largest number that a run may have.
	Retries int32
	// Expectations are those that a run may tighten, nil for none.
	Expectations *v1alpha1.Expectations
	// CountsFrom is what a run's counts are read from; only a log has counts during the run.
	CountsFrom v1alpha1.StatsSource
}

// Of returns what a Spider allows. It shares memory with the Spider.
func Of(spider *v1alpha1.SpiderSpec) Rules {
	return Rules{
		Settings:             spider.AllowedSettings,
		TimeoutSeconds:       spider.TimeoutSeconds,
		StartDeadlineSeconds: spider.StartDeadlineSeconds,
		Retries:              ptr.Deref(spider.Retries, 0),
		Expectations:         spider.Expectations,
		CountsFrom:           spider.CountsFrom(),
	}
}

// Limits are the limits of one run.
type Limits struct {
	// TimeoutSeconds and StartDeadlineSeconds are nil for no limit.
	TimeoutSeconds, StartDeadlineSeconds *int64
	Retries                              int32
	// Expectations are nil for none, and share memory with nothing.
	Expectations *v1alpha1.Expectations
}

// RefusedError says what a run asks for although it may not have it.
type RefusedError struct {
	// Field is the field's path in the spec of a SpiderJob, as in timeoutSeconds or expectations.minItems.
	Field string
	// Entry is the name of the argument or setting in the field, any text at all; nil if the field itself is meant.
	Entry *string
	// Asked is what the run asks for and Has the existing value, as text; each may be empty.
	Asked, Has string
	// problem continues after the field's name, with %[1]s for Asked, and %[2]s for Has.
	problem string
}

// Error implements error, in the words of the custom resources.
func (e *RefusedError) Error() string {
	field := e.Field
	if e.Entry != nil {
		field += "." + quoteUnprintable(*e.Entry)
	}
	return field + " " + e.Problem(func(value string) string { return value })
}

// Problem says what is wrong with the field. written formats the values in it for the transport.
func (e *RefusedError) Problem(written func(value string) string) string {
	return strings.NewReplacer("%[1]s", written(e.Asked), "%[2]s", written(e.Has)).Replace(e.problem)
}

// quoteUnprintable returns text unchanged if it can be part of a line of text, and quoted otherwise.
func quoteUnprintable(text string) string {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// Run returns the limits of a run with the given requests. The error is a *RefusedError if the rules do not allow them.
// Requirements of arguments and values of settings do not depend on a Spider: see Arguments.
func (r Rules) Run(asked *v1alpha1.SpiderJobSpec) (Limits, error) {
	for _, name := range slices.Sorted(maps.Keys(asked.Settings)) {
		if !slices.Contains(r.Settings, name) {
			return Limits{}, &RefusedError{Field: "settings", Entry: &name, problem: "is not among the allowedSettings of the spider"}
		}
	}
	limits := Limits{Retries: r.Retries}
	var err error
	if limits.TimeoutSeconds, err = upTo("timeoutSeconds", asked.TimeoutSeconds, r.TimeoutSeconds); err != nil {
		return Limits{}, err
	}
	limits.StartDeadlineSeconds, err = upTo("startDeadlineSeconds", asked.StartDeadlineSeconds, r.StartDeadlineSeconds)
	if err != nil {
		return Limits{}, err
	}
	retries, err := upTo("retries", asked.Retries, &r.Retries)
	if err != nil {
		return Limits{}, err
	}
	limits.Retries = *retries
	if limits.Expectations, err = Tightened(r.Expectations, asked.Expectations); err != nil {
		return Limits{}, err
	}
	if e := limits.Expectations; e != nil && e.NoProgressSeconds != nil && r.CountsFrom != v1alpha1.StatsFromScrapy {
		return Limits{}, &RefusedError{
			Field: "expectations.noProgressSeconds", Has: string(r.CountsFrom),
			problem: "needs a spider whose log is read, which statsSource %[2]s excludes",
		}
	}
	return limits, nil
}

// upTo returns the requested value, or the largest allowed one if none is requested; nil is without limit.
func upTo[T int32 | int64](field string, asked, most *T) (*T, error) {
	switch {
	case asked == nil:
		return most, nil
	case most != nil && *asked > *most:
		return nil, &RefusedError{
			Field: field, Asked: decimal(*asked), Has: decimal(*most), problem: "%[1]s is more than the %[2]s that the spider allows",
		}
	}
	return asked, nil
}

func decimal[T int32 | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// Arguments returns an error, a *RefusedError, unless a run may have these arguments.
func Arguments(arguments map[string]v1alpha1.ArgumentValue) error {
	if len(arguments) > MaxArguments {
		return &RefusedError{Field: "arguments", problem: fmt.Sprintf("may be at most %d", MaxArguments)}
	}
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		value := string(arguments[name])
		if problem := argumentProblem(name, value); problem != "" {
			return &RefusedError{Field: "arguments", Entry: &name, problem: problem}
		}
	}
	if ArgumentsBytes(arguments) > MaxArgumentsBytes {
		problem := fmt.Sprintf("may have at most %d bytes, names and values together", MaxArgumentsBytes)
		return &RefusedError{Field: "arguments", problem: problem}
	}
	return nil
}

// ArgumentsBytes returns how many bytes all names and values of arguments have together.
func ArgumentsBytes(arguments map[string]v1alpha1.ArgumentValue) int {
	size := 0
	for name, value := range arguments {
		size += len(name) + len(value)
	}
	return size
}

func argumentProblem(name, value string) string {
	switch {
	case !ArgumentName.MatchString(name):
		return "must have a name that is not empty, contains neither '=' nor control characters, and does not start with '-'"
	case utf8.RuneCountInString(name) > MaxArgumentName:
		return fmt.Sprintf("must have a name of at most %d characters", MaxArgumentName)
	case strings.ContainsRune(value, 0):
		return "must not contain a NUL character"
	}
	return ""
}
