package view

import (
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
	"unique"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Text is a shared text of which many jobs have the same, in half of the memory of a string. The zero value is the empty text.
type Text struct{ handle unique.Handle[string] }

// TextOf returns the Text of a string.
func TextOf(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{unique.Make(s)}
}

// String returns the text.
func (t Text) String() string {
	if t == (Text{}) {
		return ""
	}
	return t.handle.Value()
}

// Tags are the tags of a job. They take as much memory as a Text, since many jobs have the same. The zero value has none.
type Tags struct{ joined Text }

// TagsOf returns tags, which have to be sorted. More than a caller of the REST API can set are left out: anybody who can write
// labels may have made them.
func TagsOf(tags ...string) Tags {
	return Tags{TextOf(strings.Join(tags[:min(len(tags), allowed.MaxTags)], ","))} // No label's name contains a comma.
}

// None reports whether there are no tags.
func (t Tags) None() bool { return t == Tags{} }

// All iterates over the tags, in order.
func (t Tags) All() iter.Seq[string] {
	if t.None() {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(t.joined.String(), ",")
}

// Has reports whether a tag is among them.
func (t Tags) Has(tag string) bool {
	for has := range t.All() {
		if has == tag {
			return true
		}
	}
	return false
}

// Slice returns the tags; nil if there are none.
func (t Tags) Slice() []string { return slices.Collect(t.All()) }

// String returns the tags as text that differs if the tags do.
func (t Tags) String() string { return t.joined.String() }

// Origin is how a job came to be, in a byte.
type Origin uint8

// The origins of a job.
const (
	FromKubectl Origin = iota
	FromAPI
	FromSchedule
	FromBackfill
	FromRerun
	originCount
)

var originNames = [originCount]string{
	v1alpha1.OriginKubectl, v1alpha1.OriginAPI, v1alpha1.OriginSchedule, v1alpha1.OriginBackfill, v1alpha1.OriginRerun,
}

// String returns the origin as named in the REST API, which is also the value of the label.
func (o Origin) String() string { return originNames[o] }

// ParseOrigin returns the origin with the given name.
func ParseOrigin(name string) (Origin, bool) {
	i := slices.Index(originNames[:], name)
	return Origin(max(i, 0)), i >= 0 //nolint:gosec // There are five.
}

// originOf returns the origin of a SpiderJob. A label whose value is unknown was written by somebody else, and counts as none.
func originOf(job *v1alpha1.SpiderJob) Origin {
	origin, _ := ParseOrigin(job.Labels[v1alpha1.LabelOrigin])
	return origin
}

// noteOf returns what is noted about a SpiderJob, or nil. Anybody who can write annotations may have written more than fits.
func noteOf(job *v1alpha1.SpiderJob) *string {
	note := job.Annotations[v1alpha1.AnnotationNote]
	if note == "" {
		return nil
	}
	if len(note) > allowed.MaxNoteBytes {
		end := allowed.MaxNoteBytes
		for end > 0 && !utf8.RuneStart(note[end]) {
			end--
		}
		note = strings.Clone(note[:end])
	}
	return &note
}
