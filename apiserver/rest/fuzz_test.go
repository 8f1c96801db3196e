package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
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
		`{"spider_name":"a","tags":["a","B.c-9"],"note":"\u00e9"}`, `{"spider_name":"a","tags":["a","a"]}`, `{"tags":[null,1]}`,
		`{"spider_name":"a","expectations":{"no_progress_seconds":60,"on_stall":"stop","on_violation":"report","require_counts":true}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkObject(body) != nil {
			return
		}
		request, err := parseStart(body)
		if err == nil {
			err = request.Check()
		}
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
		for name, value := range request.Arguments {
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
		if e := request.Expectations; e != nil {
			if again, err := allowed.Tightened(e, e); err != nil || again == nil {
				t.Fatalf("accepted rules that are stricter than themselves: %+v, %v", e, err)
			}
			if e.OnStall != "" && e.NoProgressSeconds == nil || len(e.FinishReasons) > allowed.MaxFinishReasons {
				t.Fatalf("accepted %+v", e)
			}
		}
		if size > allowed.MaxArgumentsBytes || len(request.Arguments) > allowed.MaxArguments ||
			len(request.Settings) > allowed.MaxSettings {
			t.Fatalf("accepted %d arguments of %d bytes and %d settings", len(request.Arguments), size, len(request.Settings))
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
		change, err := parseSpider(body)
		if err != nil {
			if p, ok := errors.AsType[*failure.Error](err); !ok || p.Kind != failure.KindInvalid || !utf8.ValidString(p.Message) {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		if change.Name != nil && !allowed.SpiderName.MatchString(*change.Name) {
			t.Fatalf("accepted the name %q", *change.Name)
		}
		if p := change.RepoPath; p != nil &&
			(strings.HasPrefix(*p, "/") || strings.HasPrefix(*p, "-") || strings.Contains("/"+*p+"/", "/../")) {
			t.Fatalf("accepted the path %q", *p)
		}
		if len(change.Settings) > allowed.MaxSettings {
			t.Fatalf("accepted %d settings", len(change.Settings))
		}
		spec, err := change.Patch(&view.Spider{})
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
		if change.Name != nil && change.RepoPath != nil {
			change.Spec("alice")
		}
	})
}

// FuzzSchedule holds the reading of schedules' bodies to what a SpiderSchedule can hold.
func FuzzSchedule(f *testing.F) {
	for _, seed := range []string{
		`{"spider_id":"a","cron_expression":"* * * * *","timezone":"UTC","enabled":true,"arguments":{"a":1.0,"b":null}}`,
		`{"catch_up":{"policy":"all","window_seconds":1},"overlap":"allow","jitter_seconds":3600,"settings":{"A":null}}`,
		`{"start_at":"2025-01-15T10:30:00.5+01:00","end_at":null,"scheduled_time_argument":"date","retries":0}`,
		`{"catch_up":{},"name":"\ud800","timeout_seconds":1e2,"arguments":null}`, `{"enabled":null}`, `{"scheduled_time_argument":"-a"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkObject(body) != nil {
			return
		}
		change, err := parseSchedule(body)
		if err != nil {
			if p, ok := errors.AsType[*failure.Error](err); !ok || p.Kind != failure.KindInvalid || !utf8.ValidString(p.Message) {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		spec := &v1alpha1.SpiderScheduleSpec{
			Arguments: map[string]v1alpha1.ArgumentValue{"a": "1"}, CatchUp: &v1alpha1.CatchUp{WindowSeconds: 7},
		}
		for _, set := range change.Fields {
			set(spec)
		}
		if argument := spec.ScheduledTimeArgument; argument != "" && !allowed.ArgumentName.MatchString(argument) {
			t.Fatalf("accepted the argument %q", argument)
		}
		if spec.JitterSeconds < 0 || int64(spec.JitterSeconds) > allowed.MaxJitterSeconds || len(spec.Settings) > allowed.MaxSettings {
			t.Fatalf("accepted %+v", spec)
		}
		if c := spec.CatchUp; c != nil && (*c == v1alpha1.CatchUp{} || c.WindowSeconds < 0) {
			t.Fatalf("accepted %+v", c)
		}
		if text, err := json.Marshal(spec); err != nil || !utf8.Valid(text) {
			t.Fatalf("the schedule is %q, %v", text, err)
		}
	})
}

// FuzzBackfill holds the reading of a backfill's body to its bounds.
func FuzzBackfill(f *testing.F) {
	for _, seed := range []string{
		`{"start":"2025-01-15T10:30:00Z","end":"2025-01-15T11:30:00.5+01:00","limit":7}`, `{"start":null}`, `{"limit":1e3,"start":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if checkObject(body) != nil {
			return
		}
		wanted, err := parseBackfill(body)
		if err != nil {
			if p, ok := errors.AsType[*failure.Error](err); !ok || p.Kind != failure.KindInvalid || !utf8.ValidString(p.Message) {
				t.Fatalf("refused with %#v", err)
			}
			return
		}
		if wanted.Limit < 1 || wanted.Limit > maxBackfill || wanted.Start.IsZero() || wanted.End.IsZero() {
			t.Fatalf("accepted %+v", wanted)
		}
	})
}

// FuzzNextPage asks the same question again behind a job, whatever the question was.
func FuzzNextPage(f *testing.F) {
	f.Add("finished", "books", "2025-01-15T10:30:00+01:00", "7")
	f.Add("&=\"<>;", "é😀", "%zz", "\x00")
	last := &view.Job{}
	f.Fuzz(func(t *testing.T, status, name, after, limit string) {
		given := parameters{"status": {status}, "spider_name": {name}, "created_after": {after}, "limit": {limit}, "cursor": {"old"}}
		link := nextPage("jobs", given, view.PositionOf(last))
		address, found := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if !found || strings.ContainsAny(address, "<>\" \r\n") {
			t.Fatalf("Link %q", link)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if q.Get("status") != status || q.Get("spider_name") != name || q.Get("created_after") != after || q.Get("limit") != limit ||
			len(q["cursor"]) != 1 || q.Get("cursor") == "old" {
			t.Fatalf("Link %q lost a part of the question", link)
		}
	})
}
