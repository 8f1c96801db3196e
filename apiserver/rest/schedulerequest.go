package rest

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/failure"
	"github.com/scrapethis/spider-operator/apiserver/schedules"
	"github.com/scrapethis/spider-operator/apiserver/view"
	"github.com/scrapethis/spider-operator/internal/allowed"
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

// setter changes a field of a schedule to a value that was checked.
type setter = func(*v1alpha1.SpiderScheduleSpec)

// parseSchedule parses the body of a new schedule, or of a change, which is known to be a JSON object. It is as strict as that
// of a start.
func parseSchedule(body []byte) (*schedules.Change, error) {
	change := &schedules.Change{}
	err := eachMember(body, "", func(name string, value json.RawMessage) (err error) {
		switch name {
		case "spider_id":
			change.SpiderID, err = parseNeededText(name, value)
		case "cron_expression":
			change.Cron, err = parseNeededText(name, value)
		case "enabled":
			change.Enabled, err = parseBoolean(name, value)
		default:
			read, known := scheduleFields[name]
			if !known {
				return failure.Invalid(failure.Name(name), "there is no such field")
			}
			var set setter
			set, err = read(name, value)
			change.Fields = append(change.Fields, set)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return change, nil
}

func parseNeededText(field string, value json.RawMessage) (*string, error) {
	text, err := parseText(field, value)
	return &text, err
}

func parseBoolean(field string, value json.RawMessage) (*bool, error) {
	switch string(value) {
	case "true":
		return new(true), nil
	case "false":
		return new(false), nil
	}
	return nil, failure.Invalid(field, "must be true or false")
}

// scheduleFields parses the other fields that a body may have. null stands for the default.
var scheduleFields = map[string]func(field string, value json.RawMessage) (setter, error){
	"timezone": func(field string, value json.RawMessage) (setter, error) {
		zone := "UTC"
		if !isNull(value) {
			var err error
			if zone, err = parseString(field, value); err != nil {
				return nil, err
			}
			if zone == "" {
				return nil, failure.Invalid(field, "must be the name of a time zone, such as Europe/Berlin")
			}
		}
		return func(s *v1alpha1.SpiderScheduleSpec) { s.TimeZone = zone }, nil
	},
	"name": optionalText(allowed.MaxDisplayName, func(s *v1alpha1.SpiderScheduleSpec) *string { return &s.DisplayName }),
	"description": optionalText(
		allowed.MaxDescription, func(s *v1alpha1.SpiderScheduleSpec) *string { return &s.Description }),
	"arguments": parseScheduleArguments,
	"settings":  parseScheduleSettings,
	"overlap": func(field string, value json.RawMessage) (setter, error) {
		policy, err := oneOf(field, value, map[string]v1alpha1.OverlapPolicy{
			"skip": v1alpha1.OverlapSkip, "queue": v1alpha1.OverlapQueue, "replace": v1alpha1.OverlapReplace,
			"allow": v1alpha1.OverlapAllow,
		}, "skip, queue, replace or allow")
		return func(s *v1alpha1.SpiderScheduleSpec) { s.Overlap = policy }, err
	},
	"catch_up": parseCatchUp,
	"tags": func(_ string, value json.RawMessage) (setter, error) {
		tags, err := parseCheckedTags(value)
		return func(s *v1alpha1.SpiderScheduleSpec) { s.Tags = tags }, err
	},
	"jitter_seconds": optionalCount(
		allowed.MaxJitterSeconds, func(s *v1alpha1.SpiderScheduleSpec) *int32 { return &s.JitterSeconds }),
	"pause_after_failures": optionalCount(
		allowed.MaxPauseAfterFailures, func(s *v1alpha1.SpiderScheduleSpec) *int32 { return &s.PauseAfterFailures }),
	"priority": func(_ string, value json.RawMessage) (setter, error) {
		priority, err := parsePriority(value)
		return func(s *v1alpha1.SpiderScheduleSpec) { s.Priority = priority }, err
	},
	"start_at": optionalMoment(func(s *v1alpha1.SpiderScheduleSpec) **metav1.Time { return &s.StartAt }),
	"end_at":   optionalMoment(func(s *v1alpha1.SpiderScheduleSpec) **metav1.Time { return &s.EndAt }),
	"scheduled_time_argument": func(field string, value json.RawMessage) (setter, error) {
		name := ""
		if !isNull(value) {
			var err error
			if name, err = parseString(field, value); err != nil {
				return nil, err
			}
			if !allowed.ArgumentName.MatchString(name) || utf8.RuneCountInString(name) > allowed.MaxArgumentName {
				return nil, failure.Invalid(field, "must have from 1 to %d characters, without '=' and control characters, and without "+
					"a '-' at its beginning", allowed.MaxArgumentName)
			}
		}
		return func(s *v1alpha1.SpiderScheduleSpec) { s.ScheduledTimeArgument = name }, nil
	},
	"timeout_seconds": optionalLimit(
		1, allowed.MaxTimeoutSeconds, func(s *v1alpha1.SpiderScheduleSpec) **int64 { return &s.TimeoutSeconds }),
	"start_deadline_seconds": optionalLimit(
		1, allowed.MaxStartDeadlineSeconds, func(s *v1alpha1.SpiderScheduleSpec) **int64 { return &s.StartDeadlineSeconds }),
	"retries": optionalLimit(0, allowed.MaxRetries, func(s *v1alpha1.SpiderScheduleSpec) **int32 { return &s.Retries }),
}

// optionalText parses a text of at most so many characters; null and an empty one remove it.
func optionalText(
	most int, of func(*v1alpha1.SpiderScheduleSpec) *string,
) func(field string, value json.RawMessage) (setter, error) {
	return func(field string, value json.RawMessage) (setter, error) {
		text := ""
		if !isNull(value) {
			var err error
			if text, err = parseString(field, value); err != nil {
				return nil, err
			}
		}
		if utf8.RuneCountInString(text) > most {
			return nil, failure.Invalid(field, "has at most %d characters", most)
		}
		return func(s *v1alpha1.SpiderScheduleSpec) { *of(s) = text }, nil
	}
}

// optionalCount parses a number from 0 on; null stands for 0.
func optionalCount(
	most int64, of func(*v1alpha1.SpiderScheduleSpec) *int32,
) func(field string, value json.RawMessage) (setter, error) {
	return func(field string, value json.RawMessage) (setter, error) {
		count := int64(0)
		if !isNull(value) {
			var err error
			if count, err = parseInteger(field, value, 0, most); err != nil {
				return nil, err
			}
		}
		return func(s *v1alpha1.SpiderScheduleSpec) { *of(s) = int32(count) }, nil //nolint:gosec // At most the given bound.
	}
}

// optionalLimit parses a number; null removes it.
func optionalLimit[T int32 | int64](
	least, most int64, of func(*v1alpha1.SpiderScheduleSpec) **T,
) func(field string, value json.RawMessage) (setter, error) {
	return func(field string, value json.RawMessage) (setter, error) {
		if isNull(value) {
			return func(s *v1alpha1.SpiderScheduleSpec) { *of(s) = nil }, nil
		}
		limit, err := parseInteger(field, value, least, most)
		return func(s *v1alpha1.SpiderScheduleSpec) { *of(s) = new(T(limit)) }, err
	}
}

// optionalMoment parses a time, whose fraction of a second does not count; null removes it.
func optionalMoment(
	of func(*v1alpha1.SpiderScheduleSpec) **metav1.Time,
) func(field string, value json.RawMessage) (setter, error) {
	return func(field string, value json.RawMessage) (setter, error) {
		if isNull(value) {
			return func(s *v1alpha1.SpiderScheduleSpec) { *of(s) = nil }, nil
		}
		text, err := parseString(field, value)
		if err != nil {
			return nil, err
		}
		moment, err := parseTime(field, text)
		if err != nil {
			return nil, err
		}
		return func(s *v1alpha1.SpiderScheduleSpec) { *of(s) = new(metav1.Unix(moment.Unix(), 0)) }, nil
	}
}

// oneOf parses one of the values that a field can have; null stands for the default, which is empty.
func oneOf[T ~string](field string, value json.RawMessage, values map[string]T, list string) (T, error) {
	if isNull(value) {
		return "", nil
	}
	text, err := parseString(field, value)
	chosen, known := values[text]
	if err != nil || !known {
		return "", failure.Invalid(field, "must be %s", list)
	}
	return chosen, nil
}

// parseCatchUp parses what follows when times have passed. As in a JSON merge patch, members that are not given stay.
func parseCatchUp(field string, value json.RawMessage) (setter, error) {
	if isNull(value) {
		return func(s *v1alpha1.SpiderScheduleSpec) { s.CatchUp = nil }, nil
	}
	if !isObject(value) {
		return nil, failure.Invalid(field, "must be an object")
	}
	var sets []func(*v1alpha1.CatchUp)
	err := eachMember(value, field+".", func(name string, value json.RawMessage) error {
		member := field + "." + failure.Name(name)
		switch name {
		case "policy":
			policy, err := oneOf(member, value, map[string]v1alpha1.CatchUpPolicy{
				"latest": v1alpha1.CatchUpLatest, "all": v1alpha1.CatchUpAll, "none": v1alpha1.CatchUpNone,
			}, "latest, all or none")
			sets = append(sets, func(c *v1alpha1.CatchUp) { c.Policy = policy })
			return err
		case "window_seconds":
			seconds := int64(0)
			if !isNull(value) {
				var err error
				if seconds, err = parseInteger(member, value, 1, allowed.MaxCatchUpSeconds); err != nil {
					return err
				}
			}
			sets = append(sets, func(c *v1alpha1.CatchUp) { c.WindowSeconds = seconds })
			return nil
		default:
			return failure.Invalid(member, "there is no such field")
		}
	})
	if err != nil {
		return nil, err
	}
	return func(s *v1alpha1.SpiderScheduleSpec) {
		catchUp := &v1alpha1.CatchUp{}
		if s.CatchUp != nil {
			catchUp = s.CatchUp
		}
		for _, set := range sets {
			set(catchUp)
		}
		if s.CatchUp = catchUp; *catchUp == (v1alpha1.CatchUp{}) {
			s.CatchUp = nil
		}
	}, nil
}

// parseScheduleArguments parses arguments to set and, null, those to remove.
func parseScheduleArguments(_ string, value json.RawMessage) (setter, error) {
	changes := map[string]*v1alpha1.ArgumentValue{}
	if !isNull(value) {
		err := eachArgument(value, func(name, field string, value json.RawMessage) error {
			if isNull(value) {
				changes[name] = nil
				return nil
			}
			text, err := textOf(field, value)
			changes[name] = new(v1alpha1.ArgumentValue(text))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return func(s *v1alpha1.SpiderScheduleSpec) { s.Arguments = merged(s.Arguments, changes, isNull(value)) }, nil
}

// parseScheduleSettings parses settings to set and, null, those to remove.
func parseScheduleSettings(_ string, value json.RawMessage) (setter, error) {
	changes := map[string]*v1alpha1.SettingValue{}
	if !isNull(value) {
		var err error
		if changes, err = parseSettingChanges(value); err != nil {
			return nil, err
		}
	}
	return func(s *v1alpha1.SpiderScheduleSpec) { s.Settings = merged(s.Settings, changes, isNull(value)) }, nil
}

// merged returns values with changes, of which nil removes one; nil if there is none left.
func merged[V ~string](values map[string]V, changes map[string]*V, without bool) map[string]V {
	result := map[string]V{}
	if !without {
		for name, value := range values {
			result[name] = value
		}
	}
	for name, value := range changes {
		if value == nil {
			delete(result, name)
		} else {
			result[name] = *value
		}
	}
	if len(result) == 0 {
		return nil
	}
	return result
}

// The bounds of a backfill, in times dealt with.
const (
	defaultBackfill = 100
	maxBackfill     = 1000
)

// parseBackfill parses the body of a backfill.
func parseBackfill(body []byte) (schedules.Range, error) {
	wanted := schedules.Range{Limit: defaultBackfill}
	err := eachMember(body, "", func(name string, value json.RawMessage) (err error) {
		switch name {
		case "start":
			wanted.Start, err = parseMoment(name, value)
		case "end":
			wanted.End, err = parseMoment(name, value)
		case "limit":
			if isNull(value) {
				return nil
			}
			var limit int64
			limit, err = parseInteger(name, value, 1, maxBackfill)
			wanted.Limit = int(limit)
		default:
			return failure.Invalid(failure.Name(name), "there is no such field")
		}
		return err
	})
	switch {
	case err != nil:
		return schedules.Range{}, err
	case wanted.Start.IsZero():
		return schedules.Range{}, failure.Invalid("start", "is needed")
	case wanted.End.IsZero():
		return schedules.Range{}, failure.Invalid("end", "is needed")
	}
	return wanted, nil
}

func parseMoment(field string, value json.RawMessage) (time.Time, error) {
	text, err := parseText(field, value)
	if err != nil {
		return time.Time{}, err
	}
	return parseTime(field, text)
}

// The number of times in a preview.
const (
	defaultPreview = 5
	maxPreview     = 100
)

// previewRequest asks when a schedule would be due.
type previewRequest struct {
	expression, zone string
	// from is nil for now.
	from  *time.Time
	times int
}

func parsePreview(given parameters) (previewRequest, error) {
	asked := previewRequest{zone: "UTC", times: defaultPreview}
	expression := given.text("cron_expression")
	if expression == nil {
		return asked, failure.Invalid("cron_expression", "is needed")
	}
	asked.expression = *expression
	if zone := given.text("timezone"); zone != nil {
		if asked.zone = *zone; *zone == "" {
			return asked, failure.Invalid("timezone", "must be the name of a time zone, such as Europe/Berlin")
		}
	}
	if text := given.text("n"); text != nil {
		n, err := strconv.Atoi(*text)
		if err != nil || n < 1 || n > maxPreview {
			return asked, failure.Invalid("n", "must be a whole number from 1 to %d", maxPreview)
		}
		asked.times = n
	}
	if text := given.text("from"); text != nil {
		from, err := parseTime("from", *text)
		if err != nil {
			return asked, err
		}
		asked.from = &from
	}
	return asked, nil
}
