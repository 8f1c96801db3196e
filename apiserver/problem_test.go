package apiserver

import (
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// A program finds what is to blame without reading the sentence.
func TestErrorsNameTheFieldThatIsToBlame(t *testing.T) {
	f := newTestAPI(t)
	key := f.key("team", "")
	f.spider("team", "books", func(s *v1alpha1.Spider) { s.Spec.Expectations = &v1alpha1.Expectations{MinItems: new(int64(9))} })
	id := f.apply("team", "a")
	start := func(body string) call { return call{method: http.MethodPost, path: "/api/v1/jobs", body: body} }
	get := func(path string) call { return call{method: http.MethodGet, path: path} }
	for _, test := range []struct {
		call
		field string
	}{
		{start(`{"spider_name": "books", "argumentz": {}}`), "argumentz"},
		{start(`{"spider_name": "books", "": 1}`), `""`},
		{start(`{"spider_name": "books", "arguments": {"a": "\u0000"}}`), "arguments.a"},
		{start(`{"spider_name": "books", "settings": {"LOG_FILE": "x"}}`), "settings.LOG_FILE"},
		{start(`{"spider_name": "books", "expectations": {"min_items": 8}}`), "expectations.min_items"},
		{start(`{"spider_name": "books", "expectations": {"compared_to_previous": {"runs": 0}}}`), "expectations.compared_to_previous.runs"},
		{start(`{}`), "spider_id"},
		{get("/api/v1/jobs?limit=0"), "limit"},
		{get("/api/v1/jobs?Status=error"), "Status"},
		{get("/api/v1/jobs?status=%6r"), ""},
		{get("/api/v1/jobs/" + id + "?wait=x"), "wait"},
		{start(`{"spider_name": "none"}`), ""},
		{start(`[]`), ""},
	} {
		test.key = key
		var problem struct{ Field string }
		a := f.send(test.call)
		if a.into(&problem); a.status < 400 || problem.Field != test.field {
			t.Errorf("%s %s %s: %d %s, want field %q", test.method, test.path, test.body, a.status, a.body, test.field)
		}
	}
	f.cluster.fail = func(string, bool) error {
		invalid := apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("SpiderJob").GroupKind(), "x", nil)
		invalid.ErrStatus.Details.Causes = []metav1.StatusCause{{Field: "spec.expectations.maxErrors", Message: "too many"}}
		return invalid
	}
	var problem struct{ Field string }
	f.start(key, `{"spider_name": "books"}`).want(http.StatusBadRequest).into(&problem)
	if problem.Field != "expectations.max_errors" {
		t.Errorf("what Kubernetes finds wrong is of field %q", problem.Field)
	}
}
