package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// contractJob is a job as a contract.Job, of which the text that is answered has to be that of encoding/json.
func contractJob(job *view.Job, withArguments bool) contract.Job {
	shown := contract.Job{
		ID:                job.ID.String(),
		SpiderID:          job.SpiderID.String(),
		Status:            contract.JobStatus(job.Status.String()),
		UserID:            job.User(),
		ItemsScraped:      job.Stats.Items,
		CreatedAt:         time.Unix(job.Created, 0).UTC(),
		StartedAt:         optionalTime(job.Started),
		FinishedAt:        optionalTime(job.Finished),
		CancelRequestedAt: optionalTime(job.CancelRequested),
		Spider:            contract.JobSpider{ID: job.SpiderID.String(), Name: job.SpiderName, RepoPath: optional(&job.RepoPath)},
		Reason:            optional(new(reasonOf(job))),
		Message:           optional(&job.Message),
		Attempts:          job.Attempts,
		Image:             optional(new(job.Image.String())),
		Origin:            job.Origin.String(),
		Note:              job.Note,
	}
	if job.ExitCode != view.NoExitCode {
		shown.ExitCode = &job.ExitCode
	}
	if job.Priority != 0 {
		shown.Priority = new(int32(job.Priority))
	}
	if job.MaxWait != 0 {
		shown.MaxWaitSeconds = new(int64(job.MaxWait))
	}
	if !job.Tags.None() {
		shown.Tags = new(job.Tags.Slice())
	}
	if withArguments && job.Arguments != "" {
		shown.Arguments = new(json.RawMessage(job.Arguments))
	} else if job.ArgumentBytes > 0 {
		shown.ArgumentsOmitted = new(true)
	}
	if source, counted := statsSources[job.Stats.Source.Origin()]; counted {
		known := func(count int64) *int64 {
			if count < 0 {
				return nil
			}
			return &count
		}
		shown.Stats = &contract.JobStats{
			Responses:    known(job.Stats.Responses),
			Requests:     known(job.Stats.Requests),
			Errors:       known(job.Stats.Errors),
			FinishReason: optional(new(job.Stats.FinishReason.String())),
			Source:       source,
			ObservedAt:   optionalTime(job.Stats.ObservedAt),
			Final:        job.Stats.Final,
		}
		more := job.Stats.More.Unpack()
		for to, count := range map[**int64]int64{
			&shown.Stats.RequestRetries: more.RequestRetries, &shown.Stats.FailedRequests: more.FailedRequests,
			&shown.Stats.Responses2Xx: more.Responses2xx, &shown.Stats.Responses3Xx: more.Responses3xx,
			&shown.Stats.Responses4Xx: more.Responses4xx, &shown.Stats.Responses5Xx: more.Responses5xx,
			&shown.Stats.ItemsDropped: more.ItemsDropped, &shown.Stats.FeedFailures: more.FeedFailures,
			&shown.Stats.PeakMemoryBytes: more.PeakMemoryBytes, &shown.Stats.ElapsedSeconds: more.ElapsedSeconds,
		} {
			*to = known(count)
		}
	}
	if judgement := job.Expectations; judgement != nil {
		shown.Expectations = &contract.JobExpectations{Message: optional(&judgement.Message), Violations: []contract.Violation{}}
		if judgement.Judged {
			shown.Expectations.Met = &judgement.Met
		}
		if judgement.Violations != "" {
			if err := json.Unmarshal([]byte(judgement.Violations), &shown.Expectations.Violations); err != nil {
				panic(err)
			}
		}
	}
	if job.Scheduled != nil {
		shown.ScheduleID, shown.ScheduledAt = new(job.Scheduled.ScheduleID.String()), optionalTime(job.Scheduled.At)
	}
	return shown
}

// optionalTime is nil where seconds are absent.
func optionalTime(seconds int64) *time.Time {
	if seconds == 0 {
		return nil
	}
	return new(time.Unix(seconds, 0).UTC())
}

func encoded(t interface{ Fatal(args ...any) }, value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheTextOfAJobIsThatOfTheContract(t *testing.T) {
	anyID := rapid.Custom(func(t *rapid.T) uuid.UUID {
		return uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	})
	// Anything that a process or a tenant may have written, and the characters that JSON, HTML and JavaScript care about.
	anyText := rapid.OneOf(
		rapid.SampledFrom([]string{
			"", "Completed", `a "quoted" \ text`, "<b>&amp;</b>", "line\nbreak\x00\x1f\x7f", "é\u2028\u2029😀", "\xff\xfe",
		}),
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
	anyCount := rapid.OneOf(rapid.Just(int64(-1)), rapid.Int64())
	anyTime := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(-62_000_000_000, 253_402_300_799)) // up to the year 9999
	rapid.Check(t, func(t *rapid.T) {
		job := &view.Job{
			ID: anyID.Draw(t, "id"), SpiderID: anyID.Draw(t, "spider id"), UserID: anyText.Draw(t, "user"),
			SpiderName: anyText.Draw(t, "spider name"), RepoPath: anyText.Draw(t, "path"),
			Created: anyTime.Draw(t, "created"), Started: anyTime.Draw(t, "started"), Finished: anyTime.Draw(t, "finished"),
			CancelRequested: anyTime.Draw(t, "cancel requested"),
			Reason:          view.TextOf(anyText.Draw(t, "reason")), Message: anyText.Draw(t, "message"), Image: view.TextOf(anyText.Draw(t, "image")),
			Attempts: rapid.Int32().Draw(t, "attempts"), ExitCode: view.NoExitCode,
			Priority: rapid.Int16Range(-1000, 1000).Draw(t, "priority"), MaxWait: rapid.Int32Range(0, 31536000).Draw(t, "longest wait"),
			Status: rapid.SampledFrom([]view.Status{
				view.Pending, view.Running, view.Finished, view.Cancelled, view.Error,
			}).Draw(t, "status"),
			Ended:  rapid.Bool().Draw(t, "ended"),
			Origin: view.Origin(rapid.IntRange(0, 4).Draw(t, "origin")),
			Tags:   view.TagsOf(rapid.SliceOfN(rapid.SampledFrom([]string{"eu", "A.b_c-9", "x"}), 0, 3).Draw(t, "tags")...),
			Note:   rapid.Ptr(anyText, true).Draw(t, "note"),
			Stats: view.Stats{
				Items: rapid.Int64().Draw(t, "items"), Responses: anyCount.Draw(t, "responses"), Requests: anyCount.Draw(t, "requests"),
				Errors: anyCount.Draw(t, "errors"), ObservedAt: anyTime.Draw(t, "observed"), FinishReason: view.TextOf(anyText.Draw(t, "finish reason")),
				Source: view.SourceOf(rapid.SampledFrom([]v1alpha1.StatsOrigin{
					"", v1alpha1.OriginNone, v1alpha1.OriginScrapyLog, v1alpha1.OriginScrapyStats, v1alpha1.OriginTerminationMessage,
				}).Draw(t, "source")),
				Final: rapid.Bool().Draw(t, "final"),
				More: view.MoreCounts{
					RequestRetries: anyCount.Draw(t, "retries"), FailedRequests: anyCount.Draw(t, "failed"),
					Responses2xx: anyCount.Draw(t, "2xx"), Responses3xx: anyCount.Draw(t, "3xx"),
					Responses4xx: anyCount.Draw(t, "4xx"), Responses5xx: anyCount.Draw(t, "5xx"),
					ItemsDropped: anyCount.Draw(t, "dropped"), FeedFailures: anyCount.Draw(t, "feeds"),
					PeakMemoryBytes: anyCount.Draw(t, "memory"), ElapsedSeconds: anyCount.Draw(t, "elapsed"),
				}.Pack(),
			},
		}
		if rapid.Bool().Draw(t, "was judged") {
			job.Expectations = &view.Judgement{
				Judged: rapid.Bool().Draw(t, "judged"), Met: rapid.Bool().Draw(t, "met"), Message: anyText.Draw(t, "why not"),
			}
			if broken := rapid.SliceOfN(anyText, 0, 3).Draw(t, "broken"); len(broken) > 0 {
				violations := []contract.Violation{}
				for _, text := range broken {
					violations = append(
						violations,
						contract.Violation{Rule: "min_items", Expected: "all", Actual: strings.ToValidUTF8(text, "")},
					)
				}
				job.Expectations.Violations = encoded(t, violations)
			}
		}
		if rapid.Bool().Draw(t, "is of a schedule") {
			job.Scheduled = &view.Scheduled{ScheduleID: anyID.Draw(t, "schedule id"), At: anyTime.Draw(t, "scheduled")}
		}
		if rapid.Bool().Draw(t, "has an exit code") {
			job.ExitCode = rapid.Int32().Draw(t, "exit code")
		}
		if arguments := rapid.MapOf(anyText, anyText).Draw(t, "arguments"); len(arguments) > 0 {
			job.ArgumentBytes = 1
			if job.ArgumentsOmitted = rapid.Bool().Draw(t, "they are too long"); !job.ArgumentsOmitted {
				job.Arguments = encoded(t, arguments)
			}
		}
		if got, want := string(appendJob(nil, job)), encoded(t, contractJob(job, true)); got != want {
			t.Errorf("a single job: got\n%s\nwant\n%s", got, want)
		}
		if got, want := string(appendListed(nil, job)), encoded(t, contractJob(job, false)); got != want {
			t.Errorf("a listed job: got\n%s\nwant\n%s", got, want)
		}
	})
}

// TestAJobShowsEverythingThatTheContractKnows finds the member that the contract has gained and the text has not.
func TestAJobShowsEverythingThatTheContractKnows(t *testing.T) {
	job := &view.Job{
		ID: uuid.New(), SpiderID: uuid.New(), UserID: "alice", SpiderName: "books", RepoPath: "spiders/books.py",
		Created: 1, Started: 2, Finished: 3, CancelRequested: 4, Reason: view.TextOf("Completed"), Message: "It ran.", Image: view.TextOf("spiders:1"),
		Tags: view.TagsOf("eu"), Note: new("look at it"), Origin: view.FromAPI,
		ExitCode: 1, Priority: -1, MaxWait: 1, Attempts: 1, Arguments: `{"a":"b"}`, Status: view.Error, Ended: true,
		Stats: view.Stats{
			Items: 5, Responses: 6, Requests: 7, Errors: 8, ObservedAt: 9, FinishReason: view.TextOf("finished"),
			Source: view.SourceOf(v1alpha1.OriginScrapyStats), Final: true,
			More: view.MoreCounts{
				RequestRetries: 1, FailedRequests: 2, Responses2xx: 3, Responses3xx: 4, Responses4xx: 5, Responses5xx: 6,
				ItemsDropped: 7, FeedFailures: 8, PeakMemoryBytes: 9, ElapsedSeconds: 10,
			}.Pack(),
		},
		Scheduled: &view.Scheduled{ScheduleID: uuid.New(), At: 10},
		Expectations: &view.Judgement{
			Judged: true, Message: "It broke one.", Violations: `[{"rule":"min_items","expected":"at least 6","actual":"5"}]`,
		},
	}
	var shown contract.Job
	decoder := json.NewDecoder(bytes.NewReader(appendMembers(nil, job, job.Arguments, true, &jobs.Place{Position: 1, WaitingFor: "its turn"})))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&shown); err != nil {
		t.Fatal(err)
	}
	for _, object := range []any{
		shown, shown.Spider, *shown.Stats, *shown.Expectations, *shown.Queue, shown.Expectations.Violations[0],
	} {
		value := reflect.ValueOf(object)
		for i := range value.NumField() {
			if value.Field(i).IsZero() {
				t.Errorf("%T.%s is not shown", object, value.Type().Field(i).Name)
			}
		}
	}
}

// cutOff is a connection that is cut off in the middle of a write, and goes on to hold what it was given, as HTTP/2's may.
type cutOff struct {
	http.ResponseWriter

	held []byte
}

func (c *cutOff) Write(p []byte) (int, error) {
	c.held = p
	return 0, errors.New("stream closed")
}

func TestAnAnswerThatIsCutOffNeverHoldsSomebodyElses(t *testing.T) {
	answer := func(w http.ResponseWriter, text string) error {
		return writeJSON(w, func(p []byte) []byte { return append(p, text...) })
	}
	for range 100 { // a pool may forget a buffer at any time
		cut := &cutOff{ResponseWriter: httptest.NewRecorder()}
		if err := answer(cut, `"mine"`); err == nil {
			t.Fatal("that nothing was written is not told")
		}
		if err := answer(httptest.NewRecorder(), `"hers"`); err != nil {
			t.Fatal(err)
		}
		if text := string(cut.held); text != "\"mine\"\n" {
			t.Fatalf("the connection that was cut off holds %s", text)
		}
	}
}

func BenchmarkTextOfAJob(b *testing.B) {
	job := &view.Job{
		ID: uuid.New(), SpiderID: uuid.New(), UserID: "alice", SpiderName: "books", RepoPath: "spiders/books.py",
		Created: 1_700_000_000, Started: 1_700_000_001, Finished: 1_700_000_100,
		Reason: view.TextOf("Completed"), Message: "The spider ran to its end.",
		Image: view.TextOf("example.org/spiders:1"), Attempts: 1, Status: view.Finished, Ended: true,
		Stats: view.Stats{
			Items:      142,
			Responses:  150,
			Requests:   150,
			ObservedAt: 1_700_000_100,
			Source:     view.SourceOf(v1alpha1.OriginScrapyStats),
			Final:      true,
			More:       view.MoreCounts{Responses2xx: 148, Responses4xx: 2, PeakMemoryBytes: 100 << 20, ElapsedSeconds: 99}.Pack(),
		},
		Expectations: &view.Judgement{Judged: true, Met: true},
	}
	b.Run("this", func(b *testing.B) {
		b.ReportAllocs()
		var text []byte
		for b.Loop() {
			text = appendListed(text[:0], job)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		var text bytes.Buffer
		for b.Loop() {
			text.Reset()
			if err := json.NewEncoder(&text).Encode(contractJob(job, false)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
