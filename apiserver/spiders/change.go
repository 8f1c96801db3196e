package spiders

import (
	"encoding/json"
	"fmt"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

// Change is a change of a spider. Nil fields were not given.
type Change struct {
	Name *string
	// RepoPath is empty if the spider is to be run by its name alone.
	RepoPath *string
	// Description is empty if it is to be removed.
	Description *string
	// Settings are those to set and, nil, those to remove. ClearSettings removes all of them first.
	Settings      map[string]*v1alpha1.SettingValue
	ClearSettings bool
	// Tags are all tags of the spider from then on.
	Tags *[]string
}

// Spec is the spec of a new Spider of a user. Name and path must have been given.
func (c *Change) Spec(userID string) v1alpha1.SpiderSpec {
	spec := v1alpha1.SpiderSpec{Name: *c.Name, RepoPath: *c.RepoPath, UserID: userID}
	if c.Description != nil {
		spec.Description = *c.Description
	}
	if c.Tags != nil {
		spec.Tags = *c.Tags
	}
	for name, value := range c.Settings {
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

// Patch returns the change as a JSON merge patch of the Spider's spec; empty if there is nothing to change.
func (c *Change) Patch(spider *view.Spider) (map[string]any, error) {
	if err := c.checkSettings(spider); err != nil {
		return nil, err
	}
	spec := map[string]any{}
	if c.Name != nil {
		spec["name"] = *c.Name
	}
	if c.RepoPath != nil {
		spec["repoPath"] = valueOrNull(*c.RepoPath)
	}
	if c.Description != nil {
		spec["description"] = valueOrNull(*c.Description)
	}
	if c.Tags != nil {
		spec["tags"] = *c.Tags
		if len(*c.Tags) == 0 {
			spec["tags"] = nil
		}
	}
	switch {
	case c.ClearSettings:
		spec["settings"] = nil
	case len(c.Settings) > 0:
		spec["settings"] = c.Settings
	}
	return spec, nil
}

// valueOrNull returns a text for a merge patch: an empty one removes the field.
func valueOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// checkSettings checks the number of settings that a Spider has after the change.
func (c *Change) checkSettings(spider *view.Spider) error {
	if len(c.Settings) == 0 {
		return nil
	}
	all := map[string]struct{}{}
	if spider.Settings != "" {
		var present map[string]string
		if err := json.Unmarshal([]byte(spider.Settings), &present); err != nil {
			return fmt.Errorf("reading the settings of Spider %s/%s: %w", spider.Namespace, spider.ResourceName, err)
		}
		for name := range present {
			all[name] = struct{}{}
		}
	}
	for name, value := range c.Settings {
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
