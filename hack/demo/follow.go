package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/scrapethis/spider-operator/client"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

const (
	pollInterval = 500 * time.Millisecond
	// patience is how long a job may take in all.
	patience = 10 * time.Minute
)

// crawl runs the spider books through the REST API and checks that it found the whole shop.
func (d *demo) crawl(ctx context.Context) error {
	d.say.Heading("A job")
	const spider = "books"
	books, err := d.booksInShop(ctx)
	if err != nil {
		return err
	}
	var id string
	err = d.step(ctx, "POST /api/v1/jobs {\"spider_name\": \""+spider+"\"}", func(ctx context.Context) error {
		id, err = d.startSoon(ctx, spider)
		return err
	})
	if err != nil {
		return err
	}
	last, err := d.follow(ctx, spider, id)
	if err != nil {
		return errors.Join(err, d.explainJob(ctx, id))
	}
	if err := d.show(ctx, id); err != nil {
		return err
	}
	if err := verdict(last, books); err != nil {
		return errors.Join(err, d.explainJob(ctx, id))
	}
	return nil
}

// startSoon starts a job, also of a spider that the API has yet to hear of.
func (d *demo) startSoon(ctx context.Context, spider string) (string, error) {
	for deadline := time.Now().Add(10 * time.Second); ; {
		started, err := d.api.StartJob(ctx, client.StartJob{SpiderName: spider}, client.StartJobParams{})
		if client.HasCode(err, client.CodeNotFound) && time.Now().Before(deadline) && wait(ctx) {
			continue
		}
		if err != nil {
			return "", err
		}
		return started.JobID, nil
	}
}

// follow shows a job's progress on one line until it has ended, and returns it as it was last seen.
func (d *demo) follow(ctx context.Context, spider, id string) (job *client.Job, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the job has not ended after %s", patience))
	defer cancel()
	err = d.say.Do(ctx, spider, func(ctx context.Context, note progress.Note) error {
		for wait(ctx) {
			if job, err = d.api.GetJob(ctx, id, client.GetJobParams{}); err != nil && ctx.Err() == nil {
				return err
			}
			if err != nil {
				break
			}
			note("%s, %d items", job.Status, job.ItemsScraped)
			if !job.FinishedAt.IsZero() {
				return nil
			}
		}
		return fmt.Errorf("follow job %s: %w", id, context.Cause(ctx))
	})
	return job, err
}

// show prints a job as the API tells it.
func (d *demo) show(ctx context.Context, id string) error {
	var text json.RawMessage
	if err := d.api.Do(ctx, http.MethodGet, "/api/v1/jobs/"+id, nil, &text); err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		return fmt.Errorf("print the job: %w", err)
	}
	_, err := fmt.Fprintln(d.out, strings.TrimSpace(pretty.String()))
	return err
}

// wait reports whether there is a next time.
func wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pollInterval):
		return true
	}
}

// verdict says what is wrong with a job that has ended, if anything is.
func verdict(ended *client.Job, books int) error {
	switch {
	case ended.Status != client.JobStatusFinished:
		return fmt.Errorf("job %s ended as %s: %s: %s", ended.ID, ended.Status, ended.Reason, ended.Message)
	case ended.ItemsScraped != int64(books):
		return fmt.Errorf("job %s found %d books of the %d that the shop holds", ended.ID, ended.ItemsScraped, books)
	}
	return nil
}
