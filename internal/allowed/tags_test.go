package allowed

import (
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
