package rest

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

const (
	defaultLimit = 50
	maxLimit     = 1000
)

// parseList reads the query of a list as a question to the view about the caller's jobs.
func parseList(params contract.ListJobsParams) (view.Query, error) {
	var query view.Query
	for _, read := range []func(*view.Query, contract.ListJobsParams) error{
		readStatuses, readSpider, readTimes, readExpectations, readPage,
	} {
		if err := read(&query, params); err != nil {
			return view.Query{}, err
		}
	}
	return query, nil
}

func readStatuses(query *view.Query, params contract.ListJobsParams) error {
	if params.Status == nil {
		return nil
	}
	for _, name := range *params.Status {
		status, ok := view.ParseStatus(name)
		if !ok {
			return failure.Invalid("status", "must be pending, running, finished, cancelled or error")
		}
		query.Statuses = append(query.Statuses, status)
	}
	return nil
}

func readSpider(query *view.Query, params contract.ListJobsParams) error {
	if params.SpiderID != nil {
		id, ok := v1alpha1.ParseID(*params.SpiderID)
		if !ok {
			return failure.Invalid("spider_id", "must be a UUID")
		}
		query.SpiderID = &id
	}
	if params.SpiderName != nil {
		if *params.SpiderName == "" || utf8.RuneCountInString(*params.SpiderName) > allowed.MaxSpiderName {
			return failure.Invalid("spider_name", "must have from 1 to %d characters", allowed.MaxSpiderName)
		}
		query.SpiderName = *params.SpiderName
	}
	return nil
}

func readExpectations(query *view.Query, params contract.ListJobsParams) error {
	if params.Expectations == nil {
		return nil
	}
	if *params.Expectations != "failed" {
		return failure.Invalid("expectations", "must be failed")
	}
	query.Broken = true
	return nil
}

// readTimes turns two moments, both excluded, into whole seconds, both included: jobs know their creation to the second.
func readTimes(query *view.Query, params contract.ListJobsParams) error {
	if params.CreatedAfter != nil {
		after, err := parseTime("created_after", *params.CreatedAfter)
		if err != nil {
			return err
		}
		query.CreatedFrom = after.Unix() + 1
	}
	if params.CreatedBefore != nil {
		before, err := parseTime("created_before", *params.CreatedBefore)
		if err != nil {
			return err
		}
		query.CreatedTo = before.Unix()
		if before.Nanosecond() == 0 {
			query.CreatedTo--
		}
	}
	return nil
}

func parseTime(field, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	// A job can be no older than Kubernetes; before 1970 seconds would be negative, and 0 means no bound.
	if err != nil || t.Unix() < 2 {
		return time.Time{}, failure.Invalid(field, "must be an RFC 3339 time, such as 2025-01-15T10:30:00Z")
	}
	return t, nil
}

func readPage(query *view.Query, params contract.ListJobsParams) (err error) {
	query.Limit, query.After, err = parsePage(params.Limit, params.Cursor, defaultLimit)
	return err
}

// parsePage reads how many entries a page holds, and behind which position it begins: nil for the newest.
func parsePage(limitText, cursorText *string, standard int) (limit int, after *view.Position, err error) {
	limit = standard
	if limitText != nil {
		if limit, err = strconv.Atoi(*limitText); err != nil || limit < 1 || limit > maxLimit {
			return 0, nil, failure.Invalid("limit", "must be a whole number from 1 to %d", maxLimit)
		}
	}
	if cursorText != nil {
		position, err := parseCursor(*cursorText)
		if err != nil {
			return 0, nil, failure.Invalid("cursor", "is not one that this server gave out")
		}
		after = &position
	}
	return limit, after, nil
}

// nextPage is the Link to the page behind the last job of this one: the same question, and a cursor.
func nextPage(params contract.ListJobsParams, last *view.Job) string {
	values := url.Values{}
	if params.Status != nil {
		values["status"] = *params.Status
	}
	setGiven(values, map[string]*string{
		"spider_id":      params.SpiderID,
		"spider_name":    params.SpiderName,
		"created_after":  params.CreatedAfter,
		"created_before": params.CreatedBefore,
		"expectations":   params.Expectations,
		"limit":          params.Limit,
	})
	return link("/api/v1/jobs", values, view.PositionOf(last))
}

// setGiven sets the parameters that were given.
func setGiven(values url.Values, given map[string]*string) {
	for name, value := range given {
		if value != nil {
			values.Set(name, *value)
		}
	}
}

// link is the Link header that leads to the page behind a position.
func link(path string, values url.Values, last view.Position) string {
	values.Set("cursor", formatCursor(last))
	return strings.Join([]string{"<", path, "?", values.Encode(), `>; rel="next"`}, "")
}
