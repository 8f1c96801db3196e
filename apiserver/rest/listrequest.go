package rest

import (
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

const (
	defaultLimit = 50
	maxLimit     = 1000
)

// parseList parses the query of a list of the caller's jobs.
func parseList(given parameters) (view.Query, error) {
	var query view.Query
	for _, read := range []func(*view.Query, parameters) error{
		readStatuses, readSpider, readTimes, readExpectations, readTags, readOrigin, readPage,
	} {
		if err := read(&query, given); err != nil {
			return view.Query{}, err
		}
	}
	return query, nil
}

func readStatuses(query *view.Query, given parameters) error {
	for _, name := range given["status"] {
		status, ok := view.ParseStatus(name)
		if !ok {
			return failure.Invalid("status", "must be pending, running, finished, cancelled or error")
		}
		query.Statuses = append(query.Statuses, status)
	}
	return nil
}

func readSpider(query *view.Query, given parameters) error {
	if text := given.text("spider_id"); text != nil {
		id, ok := v1alpha1.ParseID(*text)
		if !ok {
			return failure.Invalid("spider_id", "must be a UUID")
		}
		query.SpiderID = &id
	}
	if text := given.text("spider_name"); text != nil {
		if *text == "" || utf8.RuneCountInString(*text) > allowed.MaxSpiderName {
			return failure.Invalid("spider_name", "must have from 1 to %d characters", allowed.MaxSpiderName)
		}
		query.SpiderName = *text
	}
	return nil
}

func readExpectations(query *view.Query, given parameters) error {
	switch text := given.text("expectations"); {
	case text == nil:
		return nil
	case *text != "failed":
		return failure.Invalid("expectations", "must be failed")
	}
	query.Broken = true
	return nil
}

func readTags(query *view.Query, given parameters) error {
	query.Tags = given["tag"]
	if len(query.Tags) > allowed.MaxTags {
		return failure.Invalid("tag", "may be given at most %d times, since no job has more tags", allowed.MaxTags)
	}
	for _, tag := range query.Tags {
		if !allowed.Tag.MatchString(tag) {
			return failure.Invalid("tag", "is not one that a job can have")
		}
	}
	if tag := given.text("lacks_tag"); tag != nil {
		if !allowed.Tag.MatchString(*tag) {
			return failure.Invalid("lacks_tag", "is not a tag that a job can have")
		}
		query.LacksTag = *tag
	}
	return nil
}

func readOrigin(query *view.Query, given parameters) error {
	if text := given.text("origin"); text != nil {
		origin, ok := view.ParseOrigin(*text)
		if !ok {
			return failure.Invalid("origin", "must be api, kubectl, schedule, backfill or rerun")
		}
		query.Origin = &origin
	}
	if text := given.text("schedule_id"); text != nil {
		id, ok := v1alpha1.ParseID(*text)
		if !ok {
			return failure.Invalid("schedule_id", "must be a UUID")
		}
		query.ScheduleID = &id
	}
	return nil
}

// readTimes turns two times, both excluded, into whole seconds, both included: jobs know their creation to the second.
func readTimes(query *view.Query, given parameters) error {
	if text := given.text("created_after"); text != nil {
		after, err := parseTime("created_after", *text)
		if err != nil {
			return err
		}
		query.CreatedFrom = after.Unix() + 1
	}
	if text := given.text("created_before"); text != nil {
		before, err := parseTime("created_before", *text)
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
	// A job cannot be older than Kubernetes; before 1970 seconds would be negative, and 0 means no bound.
	if err != nil || t.Unix() < 2 {
		return time.Time{}, failure.Invalid(field, "must be an RFC 3339 time, such as 2025-01-15T10:30:00Z")
	}
	return t, nil
}

func readPage(query *view.Query, given parameters) (err error) {
	query.Limit, query.After, err = parsePage(given.text("limit"), given.text("cursor"), defaultLimit)
	return err
}

// parsePage parses how many entries a page holds, and after which position it begins: nil for the newest.
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
			return 0, nil, failure.Invalid("cursor", "is not a cursor of this server")
		}
		after = &position
	}
	return limit, after, nil
}

// nextPage returns the Link header for the page after a position: the same query with a cursor. The path is relative to that of
// the request: a proxy may have stripped a prefix.
func nextPage(path string, given parameters, last view.Position) string {
	values := maps.Clone(url.Values(given))
	if values == nil {
		values = url.Values{}
	}
	values.Set("cursor", formatCursor(last))
	return strings.Join([]string{"<", path, "?", values.Encode(), `>; rel="next"`}, "")
}
