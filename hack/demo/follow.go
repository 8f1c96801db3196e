package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/scrapethis/spider-operator/client"
)

const (
	pollInterval = 500 * time.Millisecond
	// patience is how long a job may take in all.
	patience = 10 * time.Minute
	// outage is how long the API may be out of reach, as while it is being replaced by a new version.
	outage = 30 * time.Second
)

// crawl runs the spider books through the REST API and checks that it found the whole shop.
func (d *demo) crawl(ctx context.Context) error {
	d.say.heading("A job")
	const spider = "books"
	books, err := d.booksInShop(ctx)
	if err != nil {
		return err
	}
	var id string
	err = d.say.step(ctx, "POST /api/v1/jobs {\"spider_name\": \""+spider+"\"}", func(ctx context.Context) error {
		id, err = d.startSoon(ctx, spider)
		return err
	})
	if err != nil {
		return err
	}
	last, text, err := d.follow(ctx, spider, id)
	if err != nil {
		return errors.Join(err, d.explainJob(ctx, id))
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, bytes.TrimSpace(text), "", "  "); err != nil {
		return fmt.Errorf("print the job: %w", err)
	}
	if _, err := fmt.Fprintln(os.Stdout, pretty.String()); err != nil {
		return fmt.Errorf("print the job: %w", err)
	}
	if err := verdict(last, books); err != nil {
		return errors.Join(err, d.explainJob(ctx, id))
	}
	return nil
}

// startSoon starts a job, also of a spider that the API has yet to hear of.
func (d *demo) startSoon(ctx context.Context, spider string) (string, error) {
	for deadline := time.Now().Add(10 * time.Second); ; {
		id, err := d.api.start(ctx, spider)
		if client.HasCode(err, client.CodeNotFound) && time.Now().Before(deadline) && wait(ctx) {
			continue
		}
		return id, err
	}
}

// follow shows a job's progress on one line until it has ended, and returns it as it was last seen.
func (d *demo) follow(ctx context.Context, spider, id string) (*client.Job, []byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the job has not ended after %s", patience))
	defer cancel()
	start, reachable := time.Now(), time.Now()
	for {
		seen, text, err := d.api.job(ctx, id)
		switch {
		case err == nil:
			reachable = time.Now()
			line := fmt.Sprintf("%s: %s, %d items", spider, seen.Status, seen.ItemsScraped)
			if ended(seen) {
				d.say.line("%s", start, line)
				return seen, text, nil
			}
			d.say.passing("%s, %.0f s", line, time.Since(start).Seconds())
		case ctx.Err() == nil && time.Since(reachable) > outage:
			return nil, nil, err
		}
		if !wait(ctx) {
			return nil, nil, fmt.Errorf("follow job %s: %w", id, context.Cause(ctx))
		}
	}
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
