package rest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/spiders"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// defaultSpiderLimit is how many spiders a page holds unless its caller says otherwise.
const defaultSpiderLimit = 200

// parseSpiderList parses the query of a list of the spiders that the caller may see.
func parseSpiderList(given parameters) (view.SpiderQuery, error) {
	var query view.SpiderQuery
	if name := given.text("name"); name != nil {
		if *name == "" || utf8.RuneCountInString(*name) > allowed.MaxSpiderName {
			return view.SpiderQuery{}, failure.Invalid("name", "must have from 1 to %d characters", allowed.MaxSpiderName)
		}
		query.NamePart = *name
	}
	var err error
	query.Limit, query.After, err = parsePage(given.text("limit"), given.text("cursor"), defaultSpiderLimit)
	return query, err
}

// parseSpider parses the body of a new spider, or of a change, which is known to be a JSON object. It is as strict as that of a
// start.
func parseSpider(body []byte) (*spiders.Change, error) {
	return readFields(body, spiderFields)
}

// spiderFields parses the fields that a body may have.
var spiderFields = map[string]func(*spiders.Change, json.RawMessage) error{
	"name": func(c *spiders.Change, value json.RawMessage) error {
		text, err := parseSpiderName(value)
		c.Name = &text
		return err
	},
	"repo_path": func(c *spiders.Change, value json.RawMessage) error {
		text, err := parseRepoPath(value)
		c.RepoPath = &text
		return err
	},
	"description": func(c *spiders.Change, value json.RawMessage) error {
		text, err := parseDescription(value)
		c.Description = &text
		return err
	},
	"settings": func(c *spiders.Change, value json.RawMessage) (err error) {
		if isNull(value) {
			c.ClearSettings = true
			return nil
		}
		c.Settings, err = parseSettingChanges(value)
		return err
	},
	"tags": func(c *spiders.Change, value json.RawMessage) error {
		tags, err := parseCheckedTags(value)
		c.Tags = &tags
		return err
	},
	"repo_id": func(_ *spiders.Change, value json.RawMessage) error {
		if !isNull(value) {
			return failure.Invalid("repo_id", "must be null or absent: spiders come from their image, not from a repository")
		}
		return nil
	},
}

func parseSpiderName(value json.RawMessage) (string, error) {
	name, err := parseText("name", value)
	switch {
	case err != nil:
	case utf8.RuneCountInString(name) > allowed.MaxSpiderName || !allowed.SpiderName.MatchString(name):
		err = failure.Invalid(
			"name", "must have from 1 to %d characters, without control characters and without a '-' at its beginning",
			allowed.MaxSpiderName,
		)
	case strings.TrimSpace(name) == "":
		err = failure.Invalid("name", "must not consist of blanks")
	}
	return name, err
}

// parseRepoPath returns an empty text for null, which means a spider that is run by its name alone.
func parseRepoPath(value json.RawMessage) (string, error) {
	if isNull(value) {
		return "", nil
	}
	path, err := parseText("repo_path", value)
	switch {
	case err != nil:
	case utf8.RuneCountInString(path) > allowed.MaxRepoPath:
		err = failure.Invalid("repo_path", "has at most %d characters", allowed.MaxRepoPath)
	case !allowed.RepoPath.MatchString(path):
		err = failure.Invalid("repo_path", "must be a relative path, without control characters and without a '-' at its beginning")
	case slices.Contains(strings.Split(path, "/"), ".."):
		err = failure.Invalid("repo_path", "must not contain '..'")
	}
	return path, err
}

// parseDescription returns an empty text for null, which removes a description.
func parseDescription(value json.RawMessage) (string, error) {
	if isNull(value) {
		return "", nil
	}
	text, err := parseText("description", value)
	if err == nil && utf8.RuneCountInString(text) > allowed.MaxDescription {
		err = failure.Invalid("description", "has at most %d characters", allowed.MaxDescription)
	}
	return text, err
}

// parseCheckedTags parses tags that have to be such as a run can have.
func parseCheckedTags(value json.RawMessage) ([]string, error) {
	tags, err := parseTags(value)
	if err != nil {
		return nil, err
	}
	if refused, is := errors.AsType[*allowed.RefusedError](allowed.Tags(tags)); is {
		return nil, failure.Invalid("tags", "%s", refused.Problem(func(tag string) string { return tag }))
	}
	return tags, nil
}

// parseText parses a JSON string; null is not one.
func parseText(field string, value json.RawMessage) (string, error) {
	if isNull(value) {
		return "", failure.Invalid(field, "must be a string")
	}
	return parseString(field, value)
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }

// parseSettingChanges parses settings to set, and those that are null as settings to remove.
func parseSettingChanges(value json.RawMessage) (map[string]*v1alpha1.SettingValue, error) {
	changes := map[string]*v1alpha1.SettingValue{}
	err := eachSetting(value, func(name string, value json.RawMessage) error {
		if isNull(value) {
			changes[name] = nil
			return nil
		}
		text, err := settingText(name, value)
		changes[name] = &text
		return err
	})
	return changes, err
}
