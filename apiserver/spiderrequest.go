package apiserver

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// defaultSpiderLimit is how many spiders a page holds unless its caller says otherwise.
const defaultSpiderLimit = 200

// parseSpiderList reads the query of a list as a question to the view about what the caller may see.
func parseSpiderList(caller auth.Identity, params contract.ListSpidersParams) (view.SpiderQuery, error) {
	query := view.SpiderQuery{Namespace: caller.Namespace, User: caller.User}
	if params.Name != nil {
		if *params.Name == "" || utf8.RuneCountInString(*params.Name) > allowed.MaxSpiderName {
			return view.SpiderQuery{}, failure.Invalid("name", "must have from 1 to %d characters", allowed.MaxSpiderName)
		}
		query.NamePart = *params.Name
	}
	var err error
	query.Limit, query.After, err = parsePage(params.Limit, params.Cursor, defaultSpiderLimit)
	return query, err
}

// nextSpiders is the Link to the page behind a position: the same question, and a cursor.
func nextSpiders(params contract.ListSpidersParams, last view.Position) string {
	values := url.Values{}
	setGiven(values, map[string]*string{"name": params.Name, "limit": params.Limit})
	return link("/api/v1/spiders", values, last)
}

// spiderChange is what a body says about a spider. Nil fields were not given.
type spiderChange struct {
	name *string
	// repoPath is empty when the spider is to be run by its name alone.
	repoPath *string
	// description is empty when it is to be removed.
	description *string
	// settings are those to set and, nil, those to remove. clearSettings removes all of them first.
	settings      map[string]*v1alpha1.SettingValue
	clearSettings bool
}

// parseSpider reads the body of a new spider.
func parseSpider(body []byte) (*spiderChange, error) {
	change, err := parseSpiderChange(body)
	switch {
	case err != nil:
		return nil, err
	case change.name == nil:
		return nil, failure.Invalid("name", "is needed")
	case change.repoPath == nil:
		return nil, failure.Invalid("repo_path", "is needed; null means a spider that is run by its name alone")
	}
	return change, nil
}

// parseSpiderChange reads the body of a change, which is known to be a JSON object, as strictly as that of a start is read.
func parseSpiderChange(body []byte) (*spiderChange, error) {
	change := &spiderChange{}
	err := eachMember(body, "", func(name string, value json.RawMessage) error {
		read, known := spiderFields[name]
		if !known {
			return failure.Invalid(printable(name), "there is no such field")
		}
		return read(change, value)
	})
	if err != nil {
		return nil, err
	}
	return change, nil
}

// spiderFields reads the fields that a body may have.
var spiderFields = map[string]func(*spiderChange, json.RawMessage) error{
	"name": func(c *spiderChange, value json.RawMessage) error {
		text, err := parseSpiderName(value)
		c.name = &text
		return err
	},
	"repo_path": func(c *spiderChange, value json.RawMessage) error {
		text, err := parseRepoPath(value)
		c.repoPath = &text
		return err
	},
	"description": func(c *spiderChange, value json.RawMessage) error {
		text, err := parseDescription(value)
		c.description = &text
		return err
	},
	"settings": func(c *spiderChange, value json.RawMessage) (err error) {
		if isNull(value) {
			c.clearSettings = true
			return nil
		}
		c.settings, err = parseSettingChanges(value)
		return err
	},
}

func parseSpiderName(value json.RawMessage) (string, error) {
	name, err := parseText("name", value)
	switch {
	case err != nil:
	case utf8.RuneCountInString(name) > allowed.MaxSpiderName || !allowed.SpiderName.MatchString(name):
		err = failure.Invalid("name", "must have from 1 to %d characters, without control characters and without a '-' at its beginning",
			allowed.MaxSpiderName)
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

// parseText reads a JSON string that must be one: null is none.
func parseText(field string, value json.RawMessage) (string, error) {
	if isNull(value) {
		return "", failure.Invalid(field, "must be a string")
	}
	return parseString(field, value)
}

func isNull(value json.RawMessage) bool { return string(value) == "null" }

// parseSettingChanges reads settings to set, and those that are null as settings to remove.
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

// newSpec is the spec of a new Spider.
func (c *spiderChange) newSpec(userID string) v1alpha1.SpiderSpec {
	spec := v1alpha1.SpiderSpec{Name: *c.name, RepoPath: *c.repoPath, UserID: userID}
	if c.description != nil {
		spec.Description = *c.description
	}
	for name, value := range c.settings {
		if value == nil {
			continue
		}
		if spec.Settings == nil {
			spec.Settings = map[string]v1alpha1.SettingValue{}
		}
		spec.Settings[name] = *value
	}
	return spec
}

// patch is the change as a JSON merge patch of the Spider's spec; empty when there is nothing to change.
func (c *spiderChange) patch(spider *view.Spider) (map[string]any, error) {
	if err := c.checkSettings(spider); err != nil {
		return nil, err
	}
	spec := map[string]any{}
	if c.name != nil {
		spec["name"] = *c.name
	}
	if c.repoPath != nil {
		spec["repoPath"] = valueOrNull(*c.repoPath)
	}
	if c.description != nil {
		spec["description"] = valueOrNull(*c.description)
	}
	switch {
	case c.clearSettings:
		spec["settings"] = nil
	case len(c.settings) > 0:
		spec["settings"] = c.settings
	}
	return spec, nil
}

// valueOrNull is a text as a merge patch sets it: an empty one removes the field.
func valueOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// checkSettings holds the settings that a Spider has after the change to their number.
func (c *spiderChange) checkSettings(spider *view.Spider) error {
	if len(c.settings) == 0 {
		return nil
	}
	all := map[string]struct{}{}
	if spider.Settings != "" {
		var present map[string]string
		if err := json.Unmarshal([]byte(spider.Settings), &present); err != nil {
			return fmt.Errorf("reading the settings of Spider %s/%s: %w", spider.Namespace, spider.Ref, err)
		}
		for name := range present {
			all[name] = struct{}{}
		}
	}
	for name, value := range c.settings {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = struct{}{}
		}
	}
	if len(all) > allowed.MaxSettings {
		return failure.Invalid("settings", "there may be at most %d", allowed.MaxSettings)
	}
	return nil
}
