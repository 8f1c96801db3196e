package rest

import (
	"encoding/json"

	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
)

// parseChange parses the body of a change of a job, which is known to be a JSON object. It is as strict as that of a start.
func parseChange(body []byte) (*jobs.Change, error) {
	return readFields(body, changeFields)
}

// readFields parses a body, which is known to be a JSON object, by the fields that it may have.
func readFields[T any](body []byte, fields map[string]func(*T, json.RawMessage) error) (*T, error) {
	into := new(T)
	err := eachMember(body, "", func(name string, value json.RawMessage) error {
		read, known := fields[name]
		if !known {
			return failure.Invalid(failure.Name(name), "there is no such field")
		}
		return read(into, value)
	})
	if err != nil {
		return nil, err
	}
	return into, nil
}

// changeFields parses the fields that a body may have.
var changeFields = map[string]func(*jobs.Change, json.RawMessage) error{
	"tags": func(c *jobs.Change, value json.RawMessage) error {
		tags, err := parseTags(value)
		c.Tags = &tags
		return err
	},
	"priority": func(c *jobs.Change, value json.RawMessage) error {
		priority, err := parsePriority(value)
		c.Priority = &priority
		return err
	},
	"note": func(c *jobs.Change, value json.RawMessage) error {
		note := ""
		if isNull(value) {
			c.Note = &note
			return nil
		}
		note, err := parseString("note", value)
		c.Note = &note
		return err
	},
}
