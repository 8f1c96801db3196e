package allowed

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Tags returns an error, a *RefusedError, unless a run, a Spider or a SpiderSchedule may have these tags.
func Tags(tags []string) error {
	refused := &RefusedError{Field: "tags"}
	if len(tags) > MaxTags {
		refused.problem = fmt.Sprintf("may be at most %d", MaxTags)
		return refused
	}
	for i, tag := range tags {
		refused.Asked = strconv.Quote(shortened(tag))
		switch {
		case !Tag.MatchString(tag):
			refused.problem = fmt.Sprintf(
				"%%[1]s must have from 1 to %d letters, digits, '-', '_' and '.', and begin and end with a letter or digit", maxTag)
			return refused
		case slices.Contains(tags[:i], tag):
			refused.problem = "%[1]s is given twice"
			return refused
		}
	}
	return nil
}

// Inherited returns the tags of a run: its own and, sorted behind them, those that it inherits. The error is a *RefusedError if
// these are too many together.
func Inherited(own, inherited []string) ([]string, error) {
	tags := slices.Concat(own, inherited)
	slices.Sort(tags)
	tags = slices.Compact(tags)
	if len(tags) > MaxTags {
		return nil, &RefusedError{Field: "tags", problem: fmt.Sprintf(
			"may be at most %d, and would be %d with those of the spider", MaxTags, len(tags))}
	}
	return tags, nil
}

// Fitting returns the tags of a run that nobody can be told about: its own, and as many of those that it inherits as it may have.
func Fitting(own, inherited []string) []string {
	tags := slices.Clone(own)
	for _, tag := range slices.Sorted(slices.Values(inherited)) {
		if len(tags) < MaxTags && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// Note returns an error, a *RefusedError, unless this may be noted about a run.
func Note(note string) error {
	if len(note) > MaxNoteBytes {
		return &RefusedError{Field: "note", problem: fmt.Sprintf("has at most %d bytes", MaxNoteBytes)}
	}
	return nil
}

// shortened returns text for an error message, which need not repeat all of what was sent.
func shortened(text string) string {
	const most = maxTag + 1
	if runes := []rune(strings.ToValidUTF8(text, "\uFFFD")); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
