package rest

import (
	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
)

// defaultScheduleLimit is how many schedules a page holds unless its caller says otherwise.
const defaultScheduleLimit = 200

// parseScheduleList parses the query of a list of the caller's schedules.
func parseScheduleList(given parameters) (query view.ScheduleQuery, err error) {
	if text := given.text("spider_id"); text != nil {
		id, ok := v1alpha1.ParseID(*text)
		if !ok {
			return query, failure.Invalid("spider_id", "must be a UUID")
		}
		query.SpiderID = &id
	}
	if text := given.text("enabled"); text != nil {
		enabled := *text == "true"
		if *text != "true" && *text != "false" {
			return query, failure.Invalid("enabled", "must be true or false")
		}
		query.Enabled = &enabled
	}
	query.Limit, query.After, err = parsePage(given.text("limit"), given.text("cursor"), defaultScheduleLimit)
	return query, err
}
