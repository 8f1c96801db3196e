package apiserver

import (
	"encoding/json"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// presentJob returns a job as the contract shows it, with its arguments.
func presentJob(job *view.Job) contract.Job {
	shown := presentListed(job)
	if job.Arguments != "" {
		arguments := json.RawMessage(job.Arguments)
		shown.Arguments = &arguments
	}
	return shown
}

// presentListed returns a job as lists show it. They leave the arguments out: a page of a thousand jobs could otherwise be
// tens of megabytes. What can be absent points into the job, which never changes: a page of fifty would otherwise allocate
// hundreds of texts and numbers.
func presentListed(job *view.Job) contract.Job {
	spiderID := job.SpiderID.String()
	return contract.Job{
		ID:                job.ID.String(),
		SpiderID:          spiderID,
		Status:            contract.JobStatus(job.Status.String()),
		UserID:            job.User,
		ItemsScraped:      job.Stats.Items,
		CreatedAt:         time.Unix(job.Created, 0).UTC(),
		StartedAt:         view.Time(job.Started),
		FinishedAt:        view.Time(job.Finished),
		CancelRequestedAt: view.Time(job.CancelRequested),
		Spider:            contract.JobSpider{ID: spiderID, Name: job.SpiderName, RepoPath: optional(&job.RepoPath)},
		Reason:            optional(reasonOf(job)),
		Message:           optional(&job.Message),
		ExitCode:          job.ExitCode,
		Attempts:          job.Attempts,
		Image:             optional(&job.Image),
		Stats:             presentStats(&job.Stats),
	}
}

// reasonOf is the reason for the status that is shown. That is cancelled as soon as it was asked for, while the recorded reason
// still speaks of what goes on.
func reasonOf(job *view.Job) *string {
	if job.Status == view.Cancelled && !job.Ended {
		return new(v1alpha1.ReasonStopping)
	}
	return &job.Reason
}

var statsSources = map[v1alpha1.StatsOrigin]contract.StatsSource{
	v1alpha1.OriginTerminationMessage: contract.TerminationMessage,
	v1alpha1.OriginScrapyStats:        contract.ScrapyStats,
	v1alpha1.OriginScrapyLog:          contract.ScrapyLog,
	v1alpha1.OriginNone:               contract.None,
}

// presentStats returns nil for a job of which nothing was ever counted.
func presentStats(stats *view.Stats) *contract.JobStats {
	source, known := statsSources[stats.Source]
	if !known {
		return nil
	}
	return &contract.JobStats{
		Responses:    knownCount(&stats.Responses),
		Requests:     knownCount(&stats.Requests),
		Errors:       knownCount(&stats.Errors),
		FinishReason: optional(&stats.FinishReason),
		Source:       source,
		ObservedAt:   view.Time(stats.ObservedAt),
		Final:        stats.Final,
	}
}

// knownCount returns nil in place of a count that is not known, which the contract leaves out.
func knownCount(count *int64) *int64 {
	if *count < 0 {
		return nil
	}
	return count
}

// optional returns nil in place of an empty text, which the contract leaves out.
func optional(text *string) *string {
	if *text == "" {
		return nil
	}
	return text
}
