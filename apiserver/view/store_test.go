package view

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Somebody with kubectl names a job by the id that another job has for its name: both are listed, the one that is named by the id
// is found by it, and neither takes the other along when it goes.
func TestTwoObjectsOfOneID(t *testing.T) {
	plain := spiderJob("plain", 20)
	named := spiderJob(plain.ID(), 21)
	id := uuid.MustParse(plain.ID())
	for _, test := range []struct {
		name  string
		gone  *v1alpha1.SpiderJob
		found string
	}{
		{"both are there", nil, named.Name},
		{"the one that is named by it goes", named, plain.Name},
		{"the other goes", plain, named.Name},
	} {
		for _, order := range [][]*v1alpha1.SpiderJob{{plain, named}, {named, plain}} {
			t.Run(test.name+", first "+order[0].Name, func(t *testing.T) {
				jobs := NewJobs(unnamed{})
				for _, object := range order {
					jobs.Set("", compact(t, object))
				}
				listed := []string{named.Name, plain.Name}
				if test.gone != nil {
					last := test.gone.DeepCopy()
					last.ResourceVersion = "30"
					jobs.Delete("", compact(t, last))
					listed = []string{test.found}
				}
				if got := jobs.Get(ns, id); got == nil || got.Name != test.found {
					t.Errorf("found %v by the id, want %s", got, test.found)
				}
				page, _ := jobs.List(Query{Namespace: ns, Limit: 9})
				if diff := gocmp.Diff(listed, names(page)); diff != "" {
					t.Errorf("listed (-want +got):\n%s", diff)
				}
			})
		}
	}
}
