package allowed

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// TestTagsAreNamesOfLabels: kube-apiserver would refuse others.
func TestTagsAreNamesOfLabels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9_.-]{0,65}`), rapid.String()).Draw(t, "tag")
		err := Tags([]string{tag})
		if problems := validation.IsQualifiedName(v1alpha1.LabelTagPrefix + tag); (err == nil) != (len(problems) == 0) {
			// A label whose name contains a slash is none with that prefix.
			t.Errorf("tag %q: %v, as a label: %v", tag, err, problems)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("the error has %d bytes", len(err.Error()))
		}
	})
	if err := Tags([]string{strings.Repeat("x", 9999)}); err == nil || len(err.Error()) > 250 {
		t.Errorf("an endless tag: %v", err)
	}
}

func TestRunsInheritTags(t *testing.T) {
	numbered := func(from, to int) (tags []string) {
		for i := from; i < to; i++ {
			tags = append(tags, fmt.Sprintf("t%02d", i))
		}
		return tags
	}
	for name, test := range map[string]struct {
		own, inherited, fitting []string
		refused                 bool
	}{
		"none":                      {nil, nil, nil, false},
		"own alone":                 {[]string{"b", "a"}, nil, []string{"b", "a"}, false},
		"both, and some twice":      {[]string{"b", "c"}, []string{"c", "a"}, []string{"b", "c", "a"}, false},
		"as many as there may be":   {numbered(0, 8), numbered(8, 16), numbered(0, 16), false},
		"too many":                  {[]string{"z"}, numbered(0, 16), append([]string{"z"}, numbered(0, 15)...), true},
		"the same ones from either": {numbered(0, 16), numbered(0, 16), numbered(0, 16), false},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := Inherited(test.own, test.inherited)
			if (err != nil) != test.refused || err == nil && !slices.Equal(all, slices.Sorted(slices.Values(test.fitting))) {
				t.Errorf("a run that is asked for has %v, %v", all, err)
			}
			if fitting := Fitting(test.own, test.inherited); !slices.Equal(fitting, test.fitting) {
				t.Errorf("a run of a schedule has %v, want %v", fitting, test.fitting)
			}
		})
	}
}
