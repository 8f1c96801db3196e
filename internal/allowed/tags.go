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
