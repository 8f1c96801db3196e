package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// TestBadInputIsRefusedAndCreatesNothing checks that bad input in bulk is refused, each with what is wrong with it, and
// creates nothing.
func TestBadInputIsRefusedAndCreatesNothing(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	other := n.Counter("other")
	n.Counter("twin-1", func(spec *v1alpha1.SpiderSpec) { spec.Name = "twin" })
	n.Counter("twin-2", func(spec *v1alpha1.SpiderSpec) { spec.Name = "twin" })
	api := n.API("alice")
	api.AwaitSpider("twin")

	arguments := func(members string) string { return `{"spider_name": "counter", "arguments": {` + members + `}}` }
	with := func(member string) string { return `{"spider_name": "counter", ` + member + `}` }
	for name, tt := range map[string]struct {
		body   string
		header map[string]string
		status int
		code   string // any where empty
		says   string
	}{
		"no body":          {body: "", status: 400, says: "empty"},
		"blanks":           {body: " \n ", status: 400, says: "empty"},
		"half an object":   {body: `{"spider_name": "counter"`, status: 400, says: "JSON"},
		"no JSON":          {body: `spider_name=counter`, status: 400, says: "JSON"},
		"single quotes":    {body: `{'spider_name': 'counter'}`, status: 400, says: "JSON"},
		"a comma too many": {body: `{"spider_name": "counter",}`, status: 400, says: "JSON"},
		"two objects":      {body: `{"spider_name": "counter"} {}`, status: 400, says: "JSON"},
		"no UTF-8":         {body: "{\"spider_name\": \"\xff\"}", status: 400, says: "UTF-8"},
		"a NUL byte":       {body: "{\"spider_name\": \"a\x00\"}", status: 400, says: "JSON"},
		"an array":         {body: `[]`, status: 400, says: "object"},
		"a string":         {body: `"counter"`, status: 400, says: "object"},
		"null":             {body: `null`, status: 400, says: "object"},
		"an endless array": {body: strings.Repeat("[", 60_000), status: 400, says: "JSON"},
		"an endless argument": {body: arguments(`"a": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)),
			status: 400},
		"a form": {body: `{"spider_name": "counter"}`, header: contentType("application/x-www-form-urlencoded"),
			status: 415, says: "JSON"},
		"text": {body: `{"spider_name": "counter"}`, header: contentType("text/plain"),
			status: 415, says: "JSON"},
		"JSON in Latin-1": {body: `{"spider_name": "counter"}`, header: contentType("application/json; charset=iso-8859-1"),
			status: 415, says: "JSON"},
		"more than any job needs":    {body: arguments(`"a": "` + strings.Repeat("x", 200<<10) + `"`), status: 413, says: "bytes"},
		"much more than that":        {body: arguments(`"a": "` + strings.Repeat("x", 1000<<10) + `"`), status: 413, says: "bytes"},
		"no spider":                  {body: `{}`, status: 400, says: "spider_id"},
		"an empty spider":            {body: `{"spider_name": ""}`, status: 400, says: "spider_name"},
		"only null":                  {body: `{"spider_id": null, "spider_name": null}`, status: 400, says: "spider_id"},
		"a number for a name":        {body: `{"spider_name": 5}`, status: 400, says: "spider_name"},
		"an object for an id":        {body: `{"spider_id": {}}`, status: 400, says: "spider_id"},
		"a spider that is not":       {body: `{"spider_name": "nobody"}`, status: 404, says: "spider"},
		"an id that is no UUID":      {body: `{"spider_id": "counter"}`, status: 404, says: "spider"},
		"an id that is not":          {body: `{"spider_id": "00000000-0000-4000-8000-000000000000"}`, status: 404, says: "spider"},
		"id and name that differ":    {body: with(`"spider_id": "` + other.ID() + `"`), status: 400, says: "spider"},
		"a name of two spiders":      {body: `{"spider_name": "twin"}`, status: 409, code: "ambiguous_spider", says: "spider_name"},
		"an unknown field":           {body: with(`"spider": "x"`), status: 400, says: "spider"},
		"a field in capitals":        {body: with(`"Arguments": {}`), status: 400, says: "Arguments"},
		"a field twice":              {body: with(`"spider_name": "other"`), status: 400, says: "spider_name"},
		"a list of arguments":        {body: with(`"arguments": ["n=1"]`), status: 400, says: "arguments"},
		"a string of arguments":      {body: with(`"arguments": "n=1"`), status: 400, says: "arguments"},
		"an option as a name":        {body: arguments(`"--option": "1"`), status: 400, says: "--option"},
		"a name with an equals sign": {body: arguments(`"a=b": "1"`), status: 400, says: "a=b"},
		"an empty name":              {body: arguments(`"": "1"`), status: 400, says: "arguments"},
		"a name with a newline":      {body: arguments(`"a\nb": "1"`), status: 400, says: "arguments"},
		"a name with a C1 control":   {body: arguments(`"a\u0085b": "1"`), status: 400, says: "arguments"},
		"an argument twice":          {body: arguments(`"n": "1", "n": "2"`), status: 400, says: "arguments.n"},
		"a NUL in an argument":       {body: arguments(`"n": "a\u0000b"`), status: 400, says: "arguments.n"},
		"half a surrogate pair":      {body: arguments(`"n": "\ud800"`), status: 400, says: "arguments.n"},
		"a byte too many":            {body: arguments(`"n": "` + strings.Repeat("x", 32<<10) + `"`), status: 400, says: "arguments"},
		"129 arguments":              {body: arguments(manyArguments(129)), status: 400, says: "arguments"},
		"a setting that is refused":  {body: with(`"settings": {"FEEDS": "{}"}`), status: 400, says: "FEEDS"},
		"a setting's bad name":       {body: with(`"settings": {"log-level": "INFO"}`), status: 400, says: "log-level"},
		"settings as a list":         {body: with(`"settings": []`), status: 400, says: "settings"},
		"no time at all":             {body: with(`"timeout_seconds": 0`), status: 400, says: "timeout_seconds"},
		"half a second":              {body: with(`"timeout_seconds": 1.5`), status: 400, says: "timeout_seconds"},
		"a time in quotes":           {body: with(`"timeout_seconds": "60"`), status: 400, says: "timeout_seconds"},
		"retries below zero":         {body: with(`"retries": -1`), status: 400, says: "retries"},
		"more retries than allowed":  {body: with(`"retries": 1`), status: 400, says: "retries"},
		"an image":                   {body: with(`"image": "evil:latest"`), status: 400, says: "image"},
		"a pod":                      {body: with(`"pod": {"privileged": true}`), status: 400, says: "pod"},
		"another user":               {body: with(`"user_id": "bob"`), status: 400, says: "user_id"},
		"a key that is no text": {body: with(`"retries": 0`), header: map[string]string{"Idempotency-Key": "ü"}, status: 400,
			says: "Idempotency-Key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problem := api.In(t).Refused(tt.status, harness.Request{
				Method: http.MethodPost, Path: "/api/v1/jobs", Body: tt.body, Header: tt.header,
			})
			if !strings.Contains(problem.Error, tt.says) {
				t.Errorf("the refusal does not speak of %q: %s", tt.says, problem.Error)
			}
			if tt.code != "" && problem.Code != tt.code {
				t.Errorf("the code is %s, want %s", problem.Code, tt.code)
			}
		})
	}
	t.Cleanup(func() {
		var jobs v1alpha1.SpiderJobList
		if err := n.Client.List(t.Context(), &jobs, client.InNamespace(n.Name)); err == nil && len(jobs.Items) > 0 {
			t.Errorf("%d SpiderJobs were made of bad input, such as %+v", len(jobs.Items), jobs.Items[0].Spec)
		}
	})
}

func contentType(value string) map[string]string { return map[string]string{"Content-Type": value} }

func manyArguments(count int) string {
	members := make([]string, count)
	for i := range members {
		members[i] = `"a` + strings.Repeat("b", i) + `": 1`
	}
	return strings.Join(members, ", ")
}

func TestBadQueriesAreRefused(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	api := n.API("alice")
	for query, says := range map[string]string{
		"status=done": "status", "Status=running": "Status", "status=running;limit=5": "query", "status=%6r": "query",
		"status=Running": "status", "status=running&status=x": "status",
		"spider_id=counter": "spider_id", "spider=counter": "spider", "expectations=met": "expectations",
		"limit=0": "limit", "limit=1001": "limit", "limit=-1": "limit", "limit=ten": "limit", "limit=1.5": "limit",
		"limit=99999999999999999999": "limit", "cursor=made-up": "cursor",
		"created_after=yesterday": "created_after", "created_before=2025-01-15": "created_before",
	} {
		problem := api.Refused(http.StatusBadRequest, harness.Request{Method: http.MethodGet, Path: "/api/v1/jobs?" + query})
		if !strings.Contains(problem.Error, says) {
			t.Errorf("the refusal of %s does not speak of it: %s", query, problem.Error)
		}
	}
	for _, id := range []string{
		"00000000-0000-4000-8000-000000000000", "no-uuid", "%00", url.PathEscape("ä"), strings.Repeat("a", 300),
		"00000000-0000-4000-8000-00000000000G",
	} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			api.Refused(http.StatusNotFound, harness.Request{Method: method, Path: "/api/v1/jobs/" + id})
		}
	}
	api.Refused(http.StatusBadRequest, harness.Request{
		Method: http.MethodDelete, Path: "/api/v1/jobs/00000000-0000-4000-8000-000000000000?grace_period_seconds=soon",
	})
}
