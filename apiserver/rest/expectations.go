package rest

import (
	"encoding/json"
	"slices"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// The words of the contract for what follows when a run stalls, or breaks a rule.
var (
	stallPolicies = map[string]v1alpha1.StallPolicy{
		"stop": v1alpha1.StallStop, "retry": v1alpha1.StallRetry, "report": v1alpha1.StallReport,
	}
	violationPolicies = map[string]v1alpha1.ViolationPolicy{
		"error": v1alpha1.ViolationError, "retry": v1alpha1.ViolationRetry, "report": v1alpha1.ViolationReport,
	}
)

// parseExpectations parses the rules of a run. It returns nil if there are none.
func parseExpectations(value json.RawMessage) (*v1alpha1.Expectations, error) {
	expectations := &v1alpha1.Expectations{}
	count := 0
	err := eachField(value, "expectations", expectationFields, expectations, &count)
	switch {
	case err != nil:
		return nil, err
	case count == 0:
		return nil, nil
	case expectations.OnStall != "" && expectations.NoProgressSeconds == nil:
		return nil, failure.Invalid("expectations.on_stall", "needs no_progress_seconds")
	}
	return expectations, nil
}

// fieldsOf parses the fields of an object into a T. Each field's parser gets its full path.
type fieldsOf[T any] map[string]func(to *T, path string, value json.RawMessage) error

// eachField parses an object, and counts the given fields. A field that is null counts as absent.
func eachField[T any](object json.RawMessage, path string, fields fieldsOf[T], to *T, count *int) error {
	if !isObject(object) {
		return failure.Invalid(path, "must be an object")
	}
	return eachMember(object, path+".", func(name string, value json.RawMessage) error {
		read, known := fields[name]
		switch {
		case !known:
			return failure.Invalid(path+"."+failure.Name(name), "there is no such field")
		case isNull(value):
			return nil
		}
		*count++
		return read(to, path+"."+name, value)
	})
}

// expectationFields parse the fields of expectations.
var expectationFields = fieldsOf[v1alpha1.Expectations]{
	"min_items": func(e *v1alpha1.Expectations, path string, value json.RawMessage) error {
		return readInteger(&e.MinItems, path, value, 0, allowed.MaxCount)
	},
	"max_errors": func(e *v1alpha1.Expectations, path string, value json.RawMessage) error {
		return readInteger(&e.MaxErrors, path, value, 0, allowed.MaxCount)
	},
	"max_failed_response_percent": func(e *v1alpha1.Expectations, path string, value json.RawMessage) error {
		return readInteger(&e.MaxFailedResponsePercent, path, value, 0, allowed.MaxPercent)
	},
	"max_duration_seconds": func(e *v1alpha1.Expectations, path string, value json.RawMessage) error {
		return readInteger(&e.MaxDurationSeconds, path, value, 1, allowed.MaxExpectedSeconds)
	},
	"finish_reasons": func(e *v1alpha1.Expectations, path string, value json.RawMessage) (err error) {
		e.FinishReasons, err = parseFinishReasons(path, value)
		return err
	},
	"feed_failures": func(e *v1alpha1.Expectations, path string, value json.RawMessage) error {
		return readInteger(&e.FeedFailures, path, value, 0, allowed.MaxCount)
	},
	"compared_to_previous": func(e *v1alpha1.Expectations, path string, value json.RawMessage) (err error) {
		e.ComparedToPrevious, err = parseComparison(path, value)
		return err
	},
	"no_progress_seconds": func(e *v1alpha1.Expectations, path string, value json.RawMessage) error {
		return readInteger(&e.NoProgressSeconds, path, value, allowed.MinNoProgressSeconds, allowed.MaxExpectedSeconds)
	},
	"on_stall": func(e *v1alpha1.Expectations, path string, value json.RawMessage) (err error) {
		e.OnStall, err = parseWord(path, value, stallPolicies, "stop, retry or report")
		return err
	},
	"on_violation": func(e *v1alpha1.Expectations, path string, value json.RawMessage) (err error) {
		e.OnViolation, err = parseWord(path, value, violationPolicies, "error, retry or report")
		return err
	},
	"require_counts": func(e *v1alpha1.Expectations, path string, value json.RawMessage) (err error) {
		e.RequireCounts, err = parseBool(path, value)
		return err
	},
}

func parseComparison(path string, value json.RawMessage) (*v1alpha1.ComparedToPrevious, error) {
	comparison := &v1alpha1.ComparedToPrevious{}
	count := 0
	if err := eachField(value, path, comparisonFields, comparison, &count); err != nil {
		return nil, err
	}
	if comparison.MinItemsPercent == 0 {
		return nil, failure.Invalid(path+".min_items_percent", "is needed")
	}
	return comparison, nil
}

// comparisonFields parse the fields of a comparison with earlier runs.
var comparisonFields = fieldsOf[v1alpha1.ComparedToPrevious]{
	"runs": func(c *v1alpha1.ComparedToPrevious, path string, value json.RawMessage) error {
		runs, err := parseInteger(path, value, 1, allowed.MaxPreviousRuns)
		c.Runs = int32(runs)
		return err
	},
	"min_items_percent": func(c *v1alpha1.ComparedToPrevious, path string, value json.RawMessage) error {
		percent, err := parseInteger(path, value, 1, allowed.MaxPreviousPercent)
		c.MinItemsPercent = int32(percent)
		return err
	},
	"same_arguments": func(c *v1alpha1.ComparedToPrevious, path string, value json.RawMessage) error {
		same, err := parseBool(path, value)
		c.SameArguments = &same
		return err
	},
}

func parseFinishReasons(path string, value json.RawMessage) ([]string, error) {
	var entries []json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil {
		return nil, failure.Invalid(path, "must be an array of strings")
	}
	if len(entries) < 1 || len(entries) > allowed.MaxFinishReasons {
		return nil, failure.Invalid(path, "must have from 1 to %d entries", allowed.MaxFinishReasons)
	}
	reasons := make([]string, 0, len(entries))
	for _, entry := range entries {
		reason, err := parseText(path, entry)
		switch {
		case err != nil:
			return nil, err
		case reason == "" || utf8.RuneCountInString(reason) > allowed.MaxFinishReason:
			return nil, failure.Invalid(path, "an entry must have from 1 to %d characters", allowed.MaxFinishReason)
		case slices.Contains(reasons, reason):
			return nil, failure.Invalid(path, "%s is given twice", failure.Name(reason))
		}
		reasons = append(reasons, reason)
	}
	return reasons, nil
}

func readInteger[T int32 | int64](to **T, path string, value json.RawMessage, least, most int64) error {
	n, err := parseInteger(path, value, least, most)
	*to = new(T(n))
	return err
}

func parseBool(path string, value json.RawMessage) (bool, error) {
	switch string(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, failure.Invalid(path, "must be true or false")
}

func parseWord[T any](path string, value json.RawMessage, words map[string]T, all string) (T, error) {
	text, err := parseString(path, value)
	word, known := words[text]
	if err != nil || !known {
		return word, failure.Invalid(path, "must be %s", all)
	}
	return word, nil
}
