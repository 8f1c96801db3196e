package rest

import (
	"cmp"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// appendJob appends a job to JSON as the contract shows a single one: with its arguments, unless they are too long for the
// view.
func appendJob(text []byte, job *view.Job) []byte {
	return appendMembers(text, job, job.Arguments, job.ArgumentsOmitted, nil)
}

// appendListed appends a job to JSON as lists show it: without arguments, which could make a page of a thousand jobs hundreds
// of kilobytes.
func appendListed(text []byte, job *view.Job) []byte {
	return appendMembers(text, job, "", job.ArgumentBytes > 0, nil)
}

// appendMembers appends what encoding/json would make of a contract.Job. omitted says that the job has arguments that are left
// out. The place in the queue is shown of single jobs that are read.
func appendMembers(text jsonText, job *view.Job, arguments string, omitted bool, place *jobs.Place) []byte {
	text.begin()
	text.id("id", job.ID)
	text.id("spider_id", job.SpiderID)
	text.string("status", job.Status.String())
	text.string("user_id", job.User())
	text.int("items_scraped", job.Stats.Items)
	text.time("created_at", job.Created)
	text.optionalTime("started_at", job.Started)
	text.optionalTime("finished_at", job.Finished)
	text.optionalTime("cancel_requested_at", job.CancelRequested)
	text.member("spider")
	text.begin()
	text.id("id", job.SpiderID)
	text.string("name", job.SpiderName)
	text.optionalString("repo_path", job.RepoPath)
	text.end()
	text.optionalString("reason", reasonOf(job))
	text.optionalString("message", job.Message)
	if job.ExitCode != view.NoExitCode {
		text.int("exit_code", int64(job.ExitCode))
	}
	text.int("attempts", int64(job.Attempts))
	text.string("origin", job.Origin.String())
	text.tags(job.Tags)
	if job.Note != nil {
		text.string("note", *job.Note)
	}
	text.optionalString("image", job.Image.String())
	if arguments != "" {
		text.raw("arguments", arguments)
	}
	if omitted {
		text.bool("arguments_omitted", true)
	}
	text.stats(&job.Stats)
	text.expectations(job.Expectations)
	if job.Scheduled != nil {
		text.id("schedule_id", job.Scheduled.ScheduleID)
		text.optionalTime("scheduled_at", job.Scheduled.At)
	}
	if job.Priority != 0 {
		text.int("priority", int64(job.Priority))
	}
	if job.MaxWait != 0 {
		text.int("max_wait_seconds", int64(job.MaxWait))
	}
	text.queue(place)
	text.end()
	return text
}

// tags appends nothing for a job without tags.
func (t *jsonText) tags(tags view.Tags) {
	if tags.None() {
		return
	}
	t.member("tags")
	separator := byte('[')
	for tag := range tags.All() {
		*t = appendString(append(*t, separator), tag)
		separator = ','
	}
	*t = append(*t, ']')
}

// expectations appends nothing for a job without expectations.
func (t *jsonText) expectations(judgement *view.Judgement) {
	if judgement == nil {
		return
	}
	t.member("expectations")
	t.begin()
	if judgement.Judged {
		t.bool("met", judgement.Met)
	}
	t.optionalString("message", judgement.Message)
	t.raw("violations", cmp.Or(judgement.Violations, "[]"))
	t.end()
}

// reasonOf returns the reason for the shown status. The status is cancelled as soon as that was requested, while the recorded
// reason still describes the current activity.
func reasonOf(job *view.Job) string {
	if job.Status == view.Cancelled && !job.Ended {
		return v1alpha1.ReasonStopping
	}
	return job.Reason.String()
}

var statsSources = map[v1alpha1.StatsOrigin]string{
	v1alpha1.OriginTerminationMessage: "termination_message",
	v1alpha1.OriginScrapyStats:        "scrapy_stats",
	v1alpha1.OriginScrapyLog:          "scrapy_log",
	v1alpha1.OriginNone:               "none",
}

// stats appends nothing for a job without any counts.
func (t *jsonText) stats(stats *view.Stats) {
	source, known := statsSources[stats.Source.Origin()]
	if !known {
		return
	}
	t.member("stats")
	t.begin()
	t.knownCount("responses", stats.Responses)
	t.knownCount("requests", stats.Requests)
	t.knownCount("errors", stats.Errors)
	if stats.More != "" {
		more := stats.More.Unpack()
		t.knownCount("request_retries", more.RequestRetries)
		t.knownCount("failed_requests", more.FailedRequests)
		t.knownCount("responses_2xx", more.Responses2xx)
		t.knownCount("responses_3xx", more.Responses3xx)
		t.knownCount("responses_4xx", more.Responses4xx)
		t.knownCount("responses_5xx", more.Responses5xx)
		t.knownCount("items_dropped", more.ItemsDropped)
		t.knownCount("feed_failures", more.FeedFailures)
		t.knownCount("peak_memory_bytes", more.PeakMemoryBytes)
		t.knownCount("elapsed_seconds", more.ElapsedSeconds)
	}
	t.optionalString("finish_reason", stats.FinishReason.String())
	t.string("source", source)
	t.optionalTime("observed_at", stats.ObservedAt)
	t.bool("final", stats.Final)
	t.end()
}

// knownCount leaves out an unknown count, as the contract does.
func (t *jsonText) knownCount(name string, count int64) {
	if count >= 0 {
		t.int(name, count)
	}
}

// optionalString leaves out an empty text, as the contract does.
func (t *jsonText) optionalString(name, value string) {
	if value != "" {
		t.string(name, value)
	}
}

// optionalTime leaves out an absent time, as the contract does.
func (t *jsonText) optionalTime(name string, seconds int64) {
	if seconds != 0 {
		t.time(name, seconds)
	}
}

// optional returns nil in place of an empty text, which the contract leaves out.
func optional(text *string) *string {
	if *text == "" {
		return nil
	}
	return text
}
