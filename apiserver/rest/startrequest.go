package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
	"github.com/scrapethis/spider-operator/internal/allowed"
	"github.com/scrapethis/spider-operator/internal/order"
)

// parseStart parses the body of a start, which is known to be a JSON object. It refuses what encoding/json would accept:
// unknown and repeated fields, names in another case, and invalid Unicode.
func parseStart(body []byte) (*jobs.Request, error) {
	request := &jobs.Request{}
	err := eachMember(body, "", func(name string, value json.RawMessage) error {
		read, known := startFields[name]
		switch {
		case !known:
			return failure.Invalid(failure.Name(name), "there is no such field")
		case string(value) == "null":
			return nil
		default:
			return read(request, value)
		}
	})
	if err != nil {
		return nil, err
	}
	return request, nil
}

// startFields parses the fields that a body may have. A field that is null counts as absent.
var startFields = map[string]func(*jobs.Request, json.RawMessage) error{
	"spider_id": func(r *jobs.Request, value json.RawMessage) (err error) {
		r.SpiderID, err = parseString("spider_id", value)
		return err
	},
	"spider_name": func(r *jobs.Request, value json.RawMessage) (err error) {
		r.SpiderName, err = parseString("spider_name", value)
		return err
	},
	"arguments": func(r *jobs.Request, value json.RawMessage) (err error) {
		r.Arguments, err = parseArguments(value)
		return err
	},
	"settings": func(r *jobs.Request, value json.RawMessage) (err error) {
		r.Settings, err = parseSettings(value)
		return err
	},
	"timeout_seconds": func(r *jobs.Request, value json.RawMessage) error {
		seconds, err := parseInteger("timeout_seconds", value, 1, allowed.MaxTimeoutSeconds)
		r.TimeoutSeconds = &seconds
		return err
	},
	"start_deadline_seconds": func(r *jobs.Request, value json.RawMessage) error {
		seconds, err := parseInteger("start_deadline_seconds", value, 1, allowed.MaxStartDeadlineSeconds)
		r.StartDeadlineSeconds = &seconds
		return err
	},
	"retries": func(r *jobs.Request, value json.RawMessage) error {
		retries, err := parseInteger("retries", value, 0, allowed.MaxRetries)
		r.Retries = new(int32(retries))
		return err
	},
	"priority": func(r *jobs.Request, value json.RawMessage) (err error) {
		r.Priority, err = parsePriority(value)
		return err
	},
	"max_wait_seconds": func(r *jobs.Request, value json.RawMessage) error {
		seconds, err := parseInteger("max_wait_seconds", value, 1, allowed.MaxWaitSeconds)
		r.MaxWaitSeconds = &seconds
		return err
	},
	"expectations": func(r *jobs.Request, value json.RawMessage) (err error) {
		r.Expectations, err = parseExpectations(value)
		return err
	},
	"tags": func(r *jobs.Request, value json.RawMessage) (err error) {
		r.Tags, err = parseTags(value)
		return err
	},
	"note": func(r *jobs.Request, value json.RawMessage) (err error) {
		r.Note, err = parseString("note", value)
		return err
	},
}

// parsePriority parses a priority; null stands for 0. The use cases check whether it is too high for the namespace.
func parsePriority(value json.RawMessage) (int32, error) {
	if isNull(value) {
		return 0, nil
	}
	priority, err := parseInteger("priority", value, -order.MaxPriority, order.MaxPriority)
	return int32(priority), err //nolint:gosec // At most the given bound.
}

// parseTags parses a list of texts; the use cases check which may be tags. It returns an empty list for null, which removes all.
func parseTags(value json.RawMessage) ([]string, error) {
	tags := []string{}
	if isNull(value) {
		return tags, nil
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(value, &entries); err != nil {
		return nil, failure.Invalid("tags", "must be a list of strings")
	}
	for _, entry := range entries {
		tag, err := parseText("tags", entry)
		if err != nil {
			return nil, failure.Invalid("tags", "must be a list of strings")
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

func parseArguments(value json.RawMessage) (map[string]v1alpha1.ArgumentValue, error) {
	arguments := map[string]v1alpha1.ArgumentValue{}
	err := eachArgument(value, func(name, field string, value json.RawMessage) error {
		text, err := textOf(field, value)
		arguments[name] = v1alpha1.ArgumentValue(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return arguments, nil
}

// eachArgument calls visit for each member of an object of arguments, with the name of its field for errors.
func eachArgument(value json.RawMessage, visit func(name, field string, value json.RawMessage) error) error {
	if !isObject(value) {
		return failure.Invalid("arguments", "must be an object of names and values")
	}
	return eachMember(value, "arguments.", func(name string, value json.RawMessage) error {
		field := "arguments." + failure.Name(name)
		if strings.ContainsRune(name, utf8.RuneError) { // What encoding/json makes of half of a surrogate pair.
			return failure.Invalid(field, "a name must not contain half of a surrogate pair, which is not a character")
		}
		return visit(name, field, value)
	})
}

func parseSettings(value json.RawMessage) (map[string]v1alpha1.SettingValue, error) {
	settings := map[string]v1alpha1.SettingValue{}
	err := eachSetting(value, func(name string, value json.RawMessage) (err error) {
		settings[name], err = settingText(name, value)
		return err
	})
	return settings, err
}

// eachSetting calls visit for each member of an object of settings, after checking its name.
func eachSetting(value json.RawMessage, visit func(name string, value json.RawMessage) error) error {
	if !isObject(value) {
		return failure.Invalid("settings", "must be an object of names and values")
	}
	count := 0
	return eachMember(value, "settings.", func(name string, value json.RawMessage) error {
		if !allowed.SettingName.MatchString(name) {
			return failure.Invalid(
				"settings."+failure.Name(name),
				"a name must start with an upper-case letter and have at most %d upper-case letters, digits and underscores",
				allowed.MaxSettingName,
			)
		}
		if count++; count > allowed.MaxSettings {
			return failure.Invalid("settings", "there may be at most %d", allowed.MaxSettings)
		}
		return visit(name, value)
	})
}

func settingText(name string, value json.RawMessage) (v1alpha1.SettingValue, error) {
	field := "settings." + failure.Name(name)
	text, err := textOf(field, value)
	if err == nil && utf8.RuneCountInString(text) > allowed.MaxSettingValue {
		err = failure.Invalid(field, "a value has at most %d characters", allowed.MaxSettingValue)
	}
	return v1alpha1.SettingValue(text), err
}

// eachMember calls visit for each member of a JSON object, in order. A repeated name is an error, which path helps to name.
func eachMember(object []byte, path string, visit func(name string, value json.RawMessage) error) error {
	decoder := json.NewDecoder(bytes.NewReader(object))
	if _, err := decoder.Token(); err != nil {
		return fmt.Errorf("reading a JSON object: %w", err)
	}
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("reading a JSON object: %w", err)
		}
		name, ok := token.(string)
		if !ok {
			return fmt.Errorf("reading a JSON object: unexpected %T for a name", token)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("reading a JSON object: %w", err)
		}
		if seen[name] {
			return failure.Invalid(path+failure.Name(name), "is given twice")
		}
		seen[name] = true
		if err := visit(name, value); err != nil {
			return err
		}
	}
	return nil
}

// textOf returns the text for a JSON value on a spider's command line: a string as it is, anything else as its exact JSON text
// without spaces between its parts.
func textOf(field string, value json.RawMessage) (string, error) {
	if value[0] == '"' {
		text, err := parseString(field, value)
		if err == nil && strings.ContainsRune(text, 0) {
			return "", failure.Invalid(field, "must not contain a NUL character")
		}
		return text, err
	}
	var text bytes.Buffer
	if err := json.Compact(&text, value); err != nil {
		return "", fmt.Errorf("compacting %s: %w", field, err)
	}
	return text.String(), nil
}

// parseString parses a JSON string. It refuses an escaped half of a surrogate pair without its other half: it is not a
// character, and could not be passed on.
func parseString(field string, value json.RawMessage) (string, error) {
	var text string
	if err := json.Unmarshal(value, &text); err != nil {
		return "", failure.Invalid(field, "must be a string")
	}
	if hasLoneSurrogate(value) {
		return "", failure.Invalid(field, "contains half of a surrogate pair, which is no character")
	}
	return text, nil
}

// hasLoneSurrogate reports whether a valid JSON string has a \u escape of a surrogate that is not part of a pair.
func hasLoneSurrogate(value []byte) bool {
	for i := 0; i < len(value); {
		if value[i] != '\\' {
			i++
			continue
		}
		switch unit := escapedUnit(value[i:]); {
		case unit < 0xD800 || unit > 0xDFFF:
			i += 2 // The rest of a \u escape of a character is four hexadecimal digits, which need no check.
		case unit > 0xDBFF:
			return true
		default:
			if low := escapedUnit(value[i+6:]); low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 12
		}
	}
	return false
}

// escapedUnit returns the UTF-16 unit of the \u escape that the text begins with, or -1.
func escapedUnit(text []byte) int64 {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseInt(string(text[2:6]), 16, 32)
	if err != nil {
		return -1
	}
	return unit
}

func parseInteger(field string, value json.RawMessage, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < least || n > most {
		return 0, failure.Invalid(field, "must be a whole number from %d to %d", least, most)
	}
	return n, nil
}

func isObject(value json.RawMessage) bool { return len(value) > 0 && value[0] == '{' }
