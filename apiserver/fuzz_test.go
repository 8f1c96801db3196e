package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// FuzzStart holds the reading of bodies to what a SpiderJob can hold, and to what encoding/json reads where that is exact.
func FuzzStart(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"spider_name":"a","arguments":{"a":1.0,"b":"x","c":[1, {"d":null}]}}`, `{"spider_id":"\ud83d\ude00","retries":1}`,
		`{"spider_name":"a","settings":{"A_B":true},"timeout_seconds":5,"start_deadline_seconds":6}`, `{"a":{"a":"\ud800"}}`, ` {"spider_name" : "a" } `,
		`{"spider_name":"a","arguments":{"a":"\\u0000\u0000"}}`, `{"spider_name":"a","spider_name":"a"}`, `[]`, `{"spider_name":"a"} 1`,
		`{"spider_name":"a","expectations":{"min_items":1,"finish_reasons":["a","b*"],"compared_to_previous":{"min_items_percent":90,"runs":2}}}`,
		`{"spider_name":"a","expectations":{"no_progress_seconds":60,"on_stall":"stop","on_violation":"report","require_counts":true}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkObject(body) != nil {
			return
		}
		request, err := parseStart(body)
		if err != nil {
			if p, ok := errors.AsType[*failure.Error](err); !ok || p.Kind != failure.KindInvalid || !utf8.ValidString(p.Message) {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		var lenient struct {
			Arguments map[string]json.RawMessage `json:"arguments"`
		}
		if err := json.Unmarshal(body, &lenient); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		size := 0
		for name, value := range request.arguments {
			size += len(name) + len(value)
			sent := lenient.Arguments[name]
			var text string
			if json.Unmarshal(sent, &text) == nil && string(sent) != "null" {
				if text != string(value) {
					t.Fatalf("argument %q is %q, sent as %s", name, value, sent)
				}
			} else if !sameJSON(t, sent, []byte(value)) {
				t.Fatalf("argument %q is %q, sent as %s", name, value, sent)
			}
			if !allowed.ArgumentName.MatchString(name) || strings.ContainsRune(string(value), 0) || !utf8.ValidString(string(value)) {
				t.Fatalf("accepted argument %q = %q", name, value)
			}
		}
		if e := request.expectations; e != nil {
			if again, err := allowed.Tightened(e, e); err != nil || again == nil {
				t.Fatalf("accepted rules that are stricter than themselves: %+v, %v", e, err)
			}
			if e.OnStall != "" && e.NoProgressSeconds == nil || len(e.FinishReasons) > allowed.MaxFinishReasons {
				t.Fatalf("accepted %+v", e)
			}
		}
		if size > allowed.MaxArgumentsBytes || len(request.arguments) > allowed.MaxArguments || len(request.settings) > allowed.MaxSettings {
			t.Fatalf("accepted %d arguments of %d bytes and %d settings", len(request.arguments), size, len(request.settings))
		}
	})
}

// sameJSON reports whether two texts are the same JSON but for spaces.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y bytes.Buffer
	if err := errors.Join(json.Compact(&x, a), json.Compact(&y, b)); err != nil {
		t.Fatalf("not JSON: %v", err)
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}

// FuzzCursor accepts exactly what formatCursor makes.
func FuzzCursor(f *testing.F) {
	f.Add("AQAAAABnh4kAWBzIr5-dUuOb4DVakXHvIg")
	f.Add(strings.Repeat("A", 34))
	f.Fuzz(func(t *testing.T, text string) {
		position, err := parseCursor(text)
		if err == nil && formatCursor(position) != text {
			t.Fatalf("%q was read as %+v, which is written %q", text, position, formatCursor(position))
		}
	})
}

// FuzzQuery sends any query to a list: it is answered, or refused with a sentence.
func FuzzQuery(f *testing.F) {
	server := newFacade(f)
	key := server.key("team", "")
	server.apply("team", "a", func(job *v1alpha1.SpiderJob) { job.Status.Phase = v1alpha1.PhaseFinished })
	f.Add("status=finished&status=error&limit=3&cursor=AQAAAABnh4kAWBzIr5-dUuOb4DVakXHvIg")
	f.Add("spider_id=0198b2a0-0000-7000-8000-000000000001&created_after=2025-01-15T10:30:00Z")
	f.Add("limit=%zz&;")
	f.Add("_=1&status=&expectations=failed&limit=")
	f.Fuzz(func(t *testing.T, query string) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/jobs", http.NoBody)
		request.URL.RawQuery = query
		request.Header.Set("Authorization", "Bearer "+key)
		recorder := httptest.NewRecorder()
		server.server.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK && recorder.Code != http.StatusBadRequest {
			t.Fatalf("%q is answered %d %s", query, recorder.Code, recorder.Body)
		}
		if _, err := url.ParseQuery(query); err != nil {
			return // The checker cannot read it either.
		}
		if err := holdToContract(request, nil, recorder.Result(), recorder.Body.Bytes()); err != nil {
			t.Fatalf("%q: %v", query, err)
		}
	})
}

// FuzzNextPage asks the same question again behind a job, whatever the question was.
func FuzzNextPage(f *testing.F) {
	f.Add("finished", "books", "2025-01-15T10:30:00+01:00", "7")
	f.Add("&=\"<>;", "é😀", "%zz", "\x00")
	last := mustCompact(&v1alpha1.SpiderJob{})
	f.Fuzz(func(t *testing.T, status, name, after, limit string) {
		params := contract.ListJobsParams{Status: &[]string{status}, SpiderName: &name, CreatedAfter: &after, Limit: &limit}
		link := nextPage(params, last)
		address, found := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if !found || strings.ContainsAny(address, "<>\" \r\n") {
			t.Fatalf("Link %q", link)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if q.Get("status") != status || q.Get("spider_name") != name || q.Get("created_after") != after || q.Get("limit") != limit || q.Get("cursor") == "" {
			t.Fatalf("Link %q lost a part of the question", link)
		}
	})
}

// FuzzSpider holds the reading of spiders' bodies to what a Spider can hold, and a change to what a JSON merge patch does.
func FuzzSpider(f *testing.F) {
	for _, seed := range []string{
		`{"name":"a","repo_path":"a/b.py","description":"x","settings":{"A_B":1.0,"C":null}}`, `{"name":"a","repo_path":"a","settings":null}`,
		`{"name":"..","repo_path":"a/../b"}`, `{"description":null}`, `{"settings":{"A":"\u0000"}}`, `{"repo_path":"\ud800"}`, `{"name":null}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkObject(body) != nil {
			return
		}
		change, err := parseSpiderChange(body)
		if err != nil {
			if p, ok := errors.AsType[*failure.Error](err); !ok || p.Kind != failure.KindInvalid || !utf8.ValidString(p.Message) {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		if change.name != nil && !allowed.SpiderName.MatchString(*change.name) {
			t.Fatalf("accepted the name %q", *change.name)
		}
		if p := change.repoPath; p != nil && (strings.HasPrefix(*p, "/") || strings.HasPrefix(*p, "-") || strings.Contains("/"+*p+"/", "/../")) {
			t.Fatalf("accepted the path %q", *p)
		}
		if len(change.settings) > allowed.MaxSettings {
			t.Fatalf("accepted %d settings", len(change.settings))
		}
		spec, err := change.patch(&view.Spider{})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := json.Marshal(spec); err != nil || !utf8.Valid(text) {
			t.Fatalf("the patch is %q, %v", text, err)
		}
		var sent map[string]json.RawMessage
		if err := json.Unmarshal(body, &sent); err != nil {
			t.Fatalf("accepted what is not JSON: %v", err)
		}
		if _, cleared := sent["settings"]; len(spec) > len(sent) || !cleared && spec["settings"] != nil {
			t.Fatalf("the patch %v changes what was not sent", spec)
		}
		if whole, err := parseSpider(body); err == nil {
			whole.newSpec("alice")
		}
	})
}

// FuzzReads sends any query and any headers to the calls that read them: each is answered, or refused with a sentence.
func FuzzReads(f *testing.F) {
	server := newFacade(f)
	key := server.key("team", "")
	spider := server.spider("team", "books")
	job, pod := server.running(f, "team", "a-job", finishedJob, func(job *v1alpha1.SpiderJob) {
		job.Spec.UserID, job.Status.PodName, job.Status.Attempts = "", "a-job-pod", 1
	})
	pod.write("hello")
	pod.terminate()
	paths := []string{"/api/v1/spiders", "/api/v1/spiders/" + spider, "/api/v1/jobs/" + job, "/api/v1/jobs/" + job + "/logs", eventsPath}
	f.Add(uint8(0), "name=b&limit=3&cursor=AQAAAABnh4kAWBzIr5-dUuOb4DVakXHvIg", "", "")
	f.Add(uint8(1), "", `W/"x", *`, "")
	f.Add(uint8(2), "wait=1ms", `"x"`, "")
	f.Add(uint8(3), "follow=true&tail=10&since=1h30m", "", "")
	f.Add(uint8(3), "since=2025-01-15T10:30:00.5%2B01:00", "", "")
	f.Add(uint8(4), "", "", "12")
	f.Fuzz(func(t *testing.T, which uint8, query, noneMatch, lastEventID string) {
		path := paths[int(which)%len(paths)]
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		if path == eventsPath {
			leave() // They would not end by themselves.
		}
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
		request.URL.RawQuery = query
		request.Header.Set("Authorization", "Bearer "+key)
		for name, value := range map[string]string{"If-None-Match": noneMatch, "Last-Event-ID": lastEventID} {
			if value != "" && !strings.ContainsFunc(value, unicode.IsControl) { // Such a header does not get through net/http.
				request.Header.Set(name, value)
			}
		}
		recorder := httptest.NewRecorder()
		server.server.ServeHTTP(recorder, request)
		switch recorder.Code {
		case http.StatusOK, http.StatusNotModified, http.StatusBadRequest:
		default:
			t.Fatalf("%s?%s is answered %d %s", request.URL.Path, query, recorder.Code, recorder.Body)
		}
		if _, err := url.ParseQuery(query); err != nil {
			return // The checker cannot read it either.
		}
		if err := holdToContract(request, nil, recorder.Result(), recorder.Body.Bytes()); err != nil {
			t.Fatalf("%s?%s: %v", request.URL.Path, query, err)
		}
	})
}
