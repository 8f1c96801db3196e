package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sigs.k8s.io/yaml"
)

// server answers calls in memory: the nth by the nth answer, and all further ones by the last.
type server struct {
	answers []answer
	asked   []*http.Request
	bodies  []string
}

type answer struct {
	status int
	header map[string]string
	body   string
	// stream is a body that is read as it comes, in place of body.
	stream io.ReadCloser
	// err is that there is no answer.
	err error
}

// RoundTrip implements http.RoundTripper.
func (s *server) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	a := s.answers[min(len(s.asked), len(s.answers)-1)]
	s.asked, s.bodies = append(s.asked, request), append(s.bodies, string(body))
	if a.err != nil {
		return nil, a.err
	}
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	header := http.Header{}
	for name, value := range a.header {
		header.Set(name, value)
	}
	content := a.stream
	if content == nil {
		content = io.NopCloser(strings.NewReader(a.body))
	}
	return &http.Response{StatusCode: a.status, Header: header, Body: &cut{request.Context(), content}, Request: request}, nil
}

// cut is a body that ends with its request, as that of net/http does.
type cut struct {
	ctx context.Context
	io.ReadCloser
}

func (c *cut) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := c.ReadCloser.Read(p)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-c.ctx.Done():
		_ = c.Close() // which lets the reader go
		<-done
		return 0, c.ctx.Err()
	}
}

func ok(body string) answer { return answer{status: http.StatusOK, body: body} }

func refused(status int, code string) answer {
	return answer{status: status, body: fmt.Sprintf(`{"error": "No.", "code": %q, "request_id": "r1"}`, code)}
}

func (a answer) with(name, value string) answer {
	a.header = map[string]string{name: value}
	return a
}

// serve makes a client of a server that answers so.
func serve(t *testing.T, answers ...answer) (*Client, *server) {
	t.Helper()
	s := &server{answers: answers}
	c, err := New("https://spiders.example.org/base/", "st_key", WithHTTPClient(&http.Client{Transport: s}))
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// The contract is the list of what a client can do: each call has a method of its name.
func TestEveryCallHasAMethod(t *testing.T) {
	text, err := os.ReadFile("../apiserver/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]any
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	documents := []string{"GetOpenAPIJSON", "GetOpenAPIYAML", "GetDocs"} // for people and generators
	calls := 0
	for path, methods := range document.Paths {
		for _, operation := range methods {
			fields, is := operation.(map[string]any)
			if !is {
				continue // the path's own parameters
			}
			id, _ := fields["operationId"].(string)
			name := strings.ToUpper(id[:1]) + id[1:]
			if _, has := reflect.TypeFor[*Client]().MethodByName(name); !has && !slices.Contains(documents, name) {
				t.Errorf("%s: the client has no method %s", path, name)
			}
			calls++
		}
	}
	if calls < 15 {
		t.Fatalf("%d calls were found", calls)
	}
}

// Each code that the contract has is a constant.
func TestEveryCodeHasAName(t *testing.T) {
	text, err := os.ReadFile("../apiserver/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Known []string `json:"x-extensible-enum"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadFile("codes.go")
	if err != nil {
		t.Fatal(err)
	}
	known := document.Components.Schemas["ErrorCode"].Known
	for _, code := range known {
		if !strings.Contains(string(names), fmt.Sprintf("ErrorCode = %q", code)) {
			t.Errorf("the code %s has no name: add one to codes.go", code)
		}
	}
	if n := strings.Count(string(names), "ErrorCode = "); n != len(known) {
		t.Errorf("%d codes have names, and the contract has %d", n, len(known))
	}
}

func TestNewWantsAnAddress(t *testing.T) {
	for _, wrong := range []string{"", "spiders.example.org", "ftp://spiders.example.org", "http://", "http://%", "http://a?b=c", "http://a#b"} {
		if _, err := New(wrong, "st_key"); err == nil || !strings.Contains(err.Error(), "URL") {
			t.Errorf("%q: error %v", wrong, err)
		}
	}
}

// Each call is sent as the contract wants it.
func TestCalls(t *testing.T) {
	moment := time.Date(2025, 1, 15, 11, 30, 0, 0, time.FixedZone("", 3600))
	tests := map[string]struct {
		make func(ctx context.Context, c *Client) error
		// asked is method, address and body.
		asked  string
		header map[string]string
		answer string
	}{
		"list": {func(ctx context.Context, c *Client) error {
			_, err := c.ListJobs(ctx, ListJobsParams{
				Status: []JobStatus{JobStatusPending, JobStatusRunning}, SpiderName: "a b", CreatedAfter: moment, Limit: 7,
			})
			return err
		}, "GET /base/api/v1/jobs?created_after=2025-01-15T10%3A30%3A00Z&limit=7&spider_name=a+b&status=pending&status=running ", nil, `[]`},
		"list all": {func(ctx context.Context, c *Client) error {
			_, err := c.ListJobs(ctx, ListJobsParams{})
			return err
		}, "GET /base/api/v1/jobs ", nil, `[]`},
		"start": {func(ctx context.Context, c *Client) error {
			_, err := c.StartJob(ctx, StartJob{
				SpiderName: "books",
				Arguments:  map[string]any{"q": "<a> & b", "nested": map[string]any{"x": "<"}, "none": nil},
				Retries:    new(int32(0)),
			}, StartJobParams{IdempotencyKey: "mine"})
			return err
		}, `POST /base/api/v1/jobs {"arguments":{"nested":{"x":"<"},"none":null,"q":"<a> & b"},"retries":0,"spider_name":"books"}`,
			map[string]string{"Idempotency-Key": "mine", "Content-Type": "application/json"}, `{}`},
		"get": {func(ctx context.Context, c *Client) error {
			_, err := c.GetJob(ctx, "a/b", GetJobParams{})
			return err
		}, "GET /base/api/v1/jobs/a%2Fb ", nil, `{}`},
		"wait": {func(ctx context.Context, c *Client) error {
			_, err := c.GetJob(ctx, "7", GetJobParams{Wait: 90 * time.Second})
			return err
		}, "GET /base/api/v1/jobs/7?wait=1m30s ", nil, `{}`},
		"start again": {func(ctx context.Context, c *Client) error {
			_, err := c.RerunJob(ctx, "7", RerunJobParams{IdempotencyKey: "mine"})
			return err
		}, `POST /base/api/v1/jobs/7/rerun `, map[string]string{"Idempotency-Key": "mine"}, `{}`},
		"tag": {func(ctx context.Context, c *Client) error {
			_, err := c.ChangeJob(ctx, "7", JobChange{"tags": []string{}, "note": nil})
			return err
		}, `PATCH /base/api/v1/jobs/7 {"note":null,"tags":[]}`, nil, `{}`},
		"cancel": {func(ctx context.Context, c *Client) error {
			return c.CancelJob(ctx, "7", CancelJobParams{GracePeriodSeconds: new(0)})
		}, "DELETE /base/api/v1/jobs/7?grace_period_seconds=0 ", nil, `{"ok": true}`},
		"log": {func(ctx context.Context, c *Client) error {
			log, err := c.GetJobLogs(ctx, "7", GetJobLogsParams{Follow: true, Tail: new(0), Since: "10m"})
			if err == nil {
				err = log.Close()
			}
			return err
		}, "GET /base/api/v1/jobs/7/logs?follow=true&since=10m&tail=0 ", nil, ``},
		"events": {func(ctx context.Context, c *Client) error {
			stream, err := c.StreamJobEvents(ctx, StreamJobEventsParams{LastEventID: "12"})
			if err == nil {
				err = stream.Close()
			}
			return err
		}, "GET /base/api/v1/jobs/events ", map[string]string{"Last-Event-ID": "12"}, ``},
		"spiders": {func(ctx context.Context, c *Client) error {
			_, err := c.ListSpiders(ctx, ListSpidersParams{Name: "boo"})
			return err
		}, "GET /base/api/v1/spiders?name=boo ", nil, `[]`},
		"make a spider": {func(ctx context.Context, c *Client) error {
			_, err := c.CreateSpider(ctx, NewSpider{Name: "books"})
			return err
		}, `POST /base/api/v1/spiders {"name":"books","repo_path":null}`, nil, `{}`},
		"change a spider": {func(ctx context.Context, c *Client) error {
			_, err := c.ChangeSpider(ctx, "7", SpiderChange{"description": nil})
			return err
		}, `PATCH /base/api/v1/spiders/7 {"description":null}`, nil, `{}`},
		"schedules": {func(ctx context.Context, c *Client) error {
			_, err := c.ListSchedules(ctx, ListSchedulesParams{Enabled: new(false)})
			return err
		}, "GET /base/api/v1/schedules?enabled=false ", nil, `[]`},
		"a schedule": {func(ctx context.Context, c *Client) error {
			_, err := c.GetSchedule(ctx, "a/b")
			return err
		}, "GET /base/api/v1/schedules/a%2Fb ", nil, `{}`},
		"make a schedule": {func(ctx context.Context, c *Client) error {
			_, err := c.CreateSchedule(ctx, NewSchedule{SpiderID: "7", CronExpression: "@daily", Enabled: new(false)})
			return err
		}, `POST /base/api/v1/schedules {"cron_expression":"@daily","enabled":false,"spider_id":"7"}`, nil, `{}`},
		"change a schedule": {func(ctx context.Context, c *Client) error {
			_, err := c.ChangeSchedule(ctx, "7", ScheduleChange{"name": nil})
			return err
		}, `PATCH /base/api/v1/schedules/7 {"name":null}`, nil, `{}`},
		"run a schedule": {func(ctx context.Context, c *Client) error {
			_, err := c.RunSchedule(ctx, "7", RunScheduleParams{IdempotencyKey: "mine"})
			return err
		}, `POST /base/api/v1/schedules/7/run `, map[string]string{"Idempotency-Key": "mine"}, `{}`},
		"backfill a schedule": {func(ctx context.Context, c *Client) error {
			_, err := c.BackfillSchedule(ctx, "7", BackfillRange{Start: moment, End: moment.UTC(), Limit: new(5)})
			return err
		}, `POST /base/api/v1/schedules/7/backfill {"end":"2025-01-15T10:30:00Z","limit":5,"start":"2025-01-15T11:30:00+01:00"}`, nil, `{}`},
		"preview": {func(ctx context.Context, c *Client) error {
			_, err := c.PreviewSchedule(ctx, PreviewScheduleParams{CronExpression: "0 2 * * *", N: new(3)})
			return err
		}, `GET /base/api/v1/schedules/preview?cron_expression=0+2+%2A+%2A+%2A&n=3 `, nil, `{}`},
		"delete a schedule": {func(ctx context.Context, c *Client) error {
			return c.DeleteSchedule(ctx, "7")
		}, `DELETE /base/api/v1/schedules/7 `, nil, `{}`},
		"a call without a method": {func(ctx context.Context, c *Client) error {
			return c.Do(ctx, http.MethodPut, "/api/v2/x?y=z", map[string]int{"a": 1}, nil)
		}, `PUT /base/api/v2/x?y=z {"a":1}`, nil, ``},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, s := serve(t, ok(test.answer))
			if err := test.make(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			asked := s.asked[0]
			if got := asked.Method + " " + asked.URL.RequestURI() + " " + strings.TrimSpace(s.bodies[0]); got != test.asked {
				t.Errorf("asked\n%s\nwant\n%s", got, test.asked)
			}
			if key := asked.Header.Get("Authorization"); key != "Bearer st_key" {
				t.Errorf("Authorization: %s", key)
			}
			for name, value := range test.header {
				if asked.Header.Get(name) != value {
					t.Errorf("%s: %q, want %q", name, asked.Header.Get(name), value)
				}
			}
		})
	}
}

// What a newer server says besides changes nothing.
func TestAnswersMayGrow(t *testing.T) {
	c, _ := serve(
		t,
		ok(
			`[{"id": "7", "status": "finished", "reason": "Novel", "new": {"x": []}, "stats": {"source": "novel", "responses": 0, "final": true,
		"new": 1}, "expectations": {"violations": [{"rule": "novel", "new": null}]}, "finished_at": "2025-01-15T10:35:00Z", "spider": {"new": 1}}]`,
		),
	)
	page, err := c.ListJobs(t.Context(), ListJobsParams{})
	if err != nil {
		t.Fatal(err)
	}
	job := page.Items[0]
	if job.Reason != "Novel" || job.Stats.Source != "novel" || *job.Stats.Responses != 0 || job.Stats.Requests != nil ||
		job.FinishedAt.IsZero() {
		t.Errorf("job %+v", job)
	}
}

// A refusal is told in the server's words, and what answers in its place is shown.
func TestErrors(t *testing.T) {
	for name, test := range map[string]struct {
		answer answer
		want   Error
		says   string
	}{
		"a refusal": {
			answer{
				status: http.StatusBadRequest, header: map[string]string{"X-Request-ID": "r7", "Retry-After": "3"},
				body: `{"error": "limit: must be less.", "code": "invalid_request", "field": "limit", "request_id": "r7", "new": 1}`,
			},
			Error{Status: 400, Code: "invalid_request", Message: "limit: must be less.", Field: "limit", RequestID: "r7", RetryAfter: 3 * time.Second},
			"GET /api/v1/me: 400 Bad Request: limit: must be less. (code invalid_request, request r7)",
		},
		"a proxy's page":   {answer{status: http.StatusForbidden, body: "<html>Log in</html>"}, Error{Status: 403, Message: "<html>Log in</html>"}, "GET /api/v1/me: 403 Forbidden: <html>Log in</html>"},
		"nothing":          {answer{status: http.StatusNotFound}, Error{Status: 404}, "GET /api/v1/me: 404 Not Found"},
		"JSON of another":  {answer{status: http.StatusNotFound, body: `{"message": "no route"}`}, Error{Status: 404, Message: `{"message": "no route"}`}, "no route"},
		"a status of none": {answer{status: 599, body: "?"}, Error{Status: 599, Message: "?"}, "GET /api/v1/me: 599"},
		"a long page":      {answer{status: 404, body: strings.Repeat("é", 5000)}, Error{Status: 404, Message: strings.Repeat("é", 512)}, "404"},
		"a redirect to nowhere": {
			answer{status: http.StatusNotModified}, Error{Status: 304}, "304 Not Modified",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := serve(t, test.answer)
			_, err := c.GetMe(t.Context())
			got, is := errors.AsType[*Error](err)
			if !is {
				t.Fatalf("error %v", err)
			}
			test.want.call = "GET /api/v1/me"
			if *got != test.want || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %#v\n%v", *got, err)
			}
			if HasCode(err, "invalid_request") != (test.want.Code != "") || HasCode(err, "not_found") {
				t.Errorf("the code of %v", err)
			}
		})
	}
	c, s := serve(t, ok("<html>"))
	if _, err := c.GetMe(
		t.Context(),
	); err == nil || !strings.Contains(err.Error(), `GET /api/v1/me: reading the answer "<html>"`) ||
		len(s.asked) != 1 {
		t.Errorf("error %v after %d calls", err, len(s.asked))
	}
}

var errCut = errors.New("connection reset")

// What may have been done is not asked for again, unless that does no harm; and not before the server wants it.
func TestCallsAreTriedAgain(t *testing.T) {
	reads := func(ctx context.Context, c *Client) error { _, err := c.GetMe(ctx); return err }
	starts := func(ctx context.Context, c *Client) error {
		_, err := c.StartJob(ctx, StartJob{SpiderName: "books"}, StartJobParams{})
		return err
	}
	cancels := func(ctx context.Context, c *Client) error { return c.CancelJob(ctx, "7", CancelJobParams{}) }
	creates := func(ctx context.Context, c *Client) error { _, err := c.CreateSpider(ctx, NewSpider{}); return err }
	changes := func(ctx context.Context, c *Client) error { _, err := c.ChangeSpider(ctx, "7", nil); return err }
	follows := func(ctx context.Context, c *Client) error {
		_, err := c.GetJobLogs(ctx, "7", GetJobLogsParams{})
		return err
	}

	busy, later := refused(429, "too_many_requests").with("Retry-After", "7"), refused(503, "unavailable").with("Retry-After", "2")
	tests := map[string]struct {
		call    func(context.Context, *Client) error
		answers []answer
		calls   int
		// from and to is how long it takes.
		from, to time.Duration
		fails    bool
	}{
		"a read, at once":            {reads, []answer{ok(`{}`)}, 1, 0, 0, false},
		"a read, too often":          {reads, []answer{busy, ok(`{}`)}, 2, 7 * time.Second, 7 * time.Second, false},
		"a read, without Kubernetes": {reads, []answer{later, later, ok(`{}`)}, 3, 4 * time.Second, 4 * time.Second, false},
		"a read, cut off": {
			reads,
			[]answer{{err: errCut}, {err: errCut}, ok(`{}`)},
			3,
			375 * time.Millisecond,
			750 * time.Millisecond,
			false,
		},
		"a read, never answered": {reads, []answer{{err: errCut}}, 5, 1875 * time.Millisecond, 3750 * time.Millisecond, true},
		"a read, past a proxy": {
			reads,
			[]answer{{status: 502}, {status: 504}, ok(`{}`)},
			3,
			375 * time.Millisecond,
			750 * time.Millisecond,
			false,
		},
		"a read, a fault":   {reads, []answer{refused(500, "internal")}, 1, 0, 0, true},
		"a read of nothing": {reads, []answer{refused(404, "not_found").with("Retry-After", "1")}, 1, 0, 0, true},
		"a start": {
			starts,
			[]answer{{err: errCut}, later, ok(`{}`)},
			3,
			2125 * time.Millisecond,
			2250 * time.Millisecond,
			false,
		},
		"a cancel that is not recorded": {
			cancels,
			[]answer{refused(500, "cancel_failed").with("Retry-After", "2"), ok(`{}`)},
			2,
			2 * time.Second,
			2 * time.Second,
			false,
		},
		"a cancel that never will be": {cancels, []answer{refused(500, "cancel_failed")}, 1, 0, 0, true},
		"a new spider, too often":     {creates, []answer{busy, ok(`{}`)}, 2, 7 * time.Second, 7 * time.Second, false},
		"a new spider, perhaps made":  {creates, []answer{later}, 1, 0, 0, true},
		"a new spider, cut off":       {creates, []answer{{err: errCut}}, 1, 0, 0, true},
		"a change, perhaps made":      {changes, []answer{later}, 1, 0, 0, true},
		"a stream": {
			follows,
			[]answer{later, {err: errCut}, ok("")},
			3,
			2250 * time.Millisecond,
			2500 * time.Millisecond,
			false,
		},
		"a stream of nothing": {follows, []answer{refused(410, "log_gone")}, 1, 0, 0, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := serve(t, test.answers...)
				began := time.Now()
				err := test.call(t.Context(), c)
				took := time.Since(began)
				if (err != nil) != test.fails || len(s.asked) != test.calls || took < test.from || took > test.to {
					t.Errorf("%d calls in %s, error %v; want %d in %s to %s", len(s.asked), took, err, test.calls, test.from, test.to)
				}
			})
		})
	}
}

// A start that is tried again is the same one, and another start is another.
func TestStartsAreMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := serve(t, answer{err: errCut}, refused(503, "unavailable"), ok(`{"jobId": "7", "status": "pending"}`))
		for range 2 {
			started, err := c.StartJob(t.Context(), StartJob{SpiderName: "books"}, StartJobParams{})
			if err != nil || started.JobID != "7" || started.Status != JobStatusPending {
				t.Fatalf("%+v, %v", started, err)
			}
		}
		keys := map[string]int{}
		for _, asked := range s.asked {
			keys[asked.Header.Get("Idempotency-Key")]++
		}
		if counts := slices.Sorted(maps.Values(keys)); !slices.Equal(counts, []int{1, 3}) || keys[""] > 0 {
			t.Errorf("starts by key: %v", keys)
		}
		for _, body := range s.bodies {
			if body != s.bodies[0] || body == "" {
				t.Errorf("body %q, want %q", body, s.bodies[0])
			}
		}
	})
}

// Whoever has no more time is told the refusal, not that the time is up.
func TestACallEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, _ := serve(t, refused(429, "too_many_requests").with("Retry-After", "60"))
		began := time.Now()
		if _, err := c.GetMe(ctx); !HasCode(err, "too_many_requests") || time.Since(began) != 0 {
			t.Errorf("error %v after %s", err, time.Since(began))
		}
		c, s := serve(t, answer{err: errCut})
		WithAttempts(1)(c)
		if _, err := c.GetMe(ctx); !errors.Is(err, errCut) || len(s.asked) != 1 {
			t.Errorf("error %v after %d calls", err, len(s.asked))
		}
	})
}

// A server that begins and does not go on is given up, and asked again.
func TestACallIsGivenUpAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs, hung := io.Pipe()
		defer func() { _ = hung.Close() }()
		c, s := serve(t, answer{status: http.StatusOK, stream: hangs}, ok(`{"user_id": "alice"}`))
		WithTimeout(3 * time.Second)(c)
		began := time.Now()
		caller, err := c.GetMe(t.Context())
		if err != nil || caller.UserID != "alice" || len(s.asked) != 2 {
			t.Fatalf("%+v, %v after %d calls", caller, err, len(s.asked))
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// The next page is where the Link leads, under whatever path the server is reached.
func TestAllPagesAreRead(t *testing.T) {
	c, s := serve(
		t,
		ok(`[{"id": "1"}, {"id": "2"}]`).with("Link", `</api/v1/jobs?cursor=a%2Bb&limit=2>; rel="next"`),
		ok(`[{"id": "3"}]`).with("Link", `<jobs?limit=2&cursor=c>; rel="next"`),
		ok(`[]`),
		ok(`[{"id": "1"}]`),
		refused(400, "invalid_request"),
	)
	read := func(most int) string {
		var ids []string
		for job, err := range c.AllJobs(t.Context(), ListJobsParams{Limit: 2}) {
			if err != nil {
				return strings.Join(append(ids, "error"), " ")
			}
			if ids = append(ids, job.ID); len(ids) == most {
				break
			}
		}
		return strings.Join(ids, " ")
	}
	if ids := read(9); ids != "1 2 3" {
		t.Errorf("jobs %s", ids)
	}
	var addresses []string
	for _, asked := range s.asked {
		addresses = append(addresses, asked.URL.RequestURI())
	}
	want := []string{"/base/api/v1/jobs?limit=2", "/base/api/v1/jobs?cursor=a%2Bb&limit=2", "/base/api/v1/jobs?cursor=c&limit=2"}
	if !slices.Equal(addresses, want) {
		t.Errorf("asked %q, want %q", addresses, want)
	}
	if ids := read(1); ids != "1" || len(s.asked) != 4 {
		t.Errorf("jobs %s after %d calls", ids, len(s.asked))
	}
	if ids := read(9); ids != "error" {
		t.Errorf("jobs %s", ids)
	}
}

// A wait goes on where the server did not wait to the end, without asking all the time.
func TestWaitForEnd(t *testing.T) {
	running, ended := ok(
		`{"id": "7", "status": "running"}`,
	), ok(
		`{"id": "7", "status": "error", "finished_at": "2025-01-15T10:35:00Z"}`,
	)
	synctest.Test(t, func(t *testing.T) {
		c, s := serve(t, running, running, refused(503, "unavailable"), ended)
		began := time.Now()
		job, err := c.WaitForEnd(t.Context(), "7")
		if err != nil || job.Status != JobStatusError {
			t.Fatalf("%+v, %v", job, err)
		}
		if took := time.Since(began); took < 2*time.Second || took > 3*time.Second || len(s.asked) != 4 {
			t.Errorf("%d calls in %s", len(s.asked), took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, s := serve(t, running)
		_, err := c.WaitForEnd(ctx, "7")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "job 7 has not ended in time, and goes on") {
			t.Errorf("error %v", err)
		}
		if len(s.asked) > 11 {
			t.Errorf("it was asked for %d times", len(s.asked))
		}
	})
	c, _ := serve(t, refused(404, "not_found"))
	if _, err := c.WaitForEnd(t.Context(), "7"); !HasCode(err, "not_found") {
		t.Errorf("error %v", err)
	}
}
