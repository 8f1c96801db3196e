// Package cron computes when a cron expression fires in a time zone.
//
// Expressions have the dialect of Kubernetes' CronJobs, which robfig/cron v3 parses: five fields, names of months and weekdays,
// or one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually. Where both day fields are restricted, a day
// that matches either of them counts.
//
// What daylight saving time does to an expression depends on its hours:
//
//   - If they are all 24 hours (*, */1, 0-23), it fires at every instant whose wall-clock time matches. An hour that is repeated
//     has its runs twice, and one that is skipped has none.
//   - Otherwise it fires once for each wall-clock time. Times that are skipped are one run, at the first instant after the gap.
//     A time that is repeated fires the first time only.
package cron

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // The image has no zone data of its own.

	robfig "github.com/robfig/cron/v3"
)

// MaxExpression bounds the bytes of an expression.
const MaxExpression = 256

// MaxZone bounds the bytes of a zone's name.
const MaxZone = 64

// ErrNever says that an expression can be read, but no day of any year matches it.
var ErrNever = errors.New("it never fires: no month has such a day")

// Schedule is an expression in a time zone. It may be used concurrently.
type Schedule struct {
	// Each mask has a bit for each value that matches, bit 0 for the value 0.
	minutes, hours, days, months, weekdays uint64
	// eitherDay says that both day fields are restricted, so that one of them has to match, not both.
	eitherDay bool
	// everyHour says that all hours match, and so every instant counts, not every wall-clock time.
	everyHour bool
	zone      *time.Location
}

// parser reads five fields, or a descriptor.
var parser = robfig.NewParser(robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow | robfig.Descriptor)

// allHours is the mask of the hours 0 to 23.
const allHours = 1<<24 - 1

// starBit is how robfig/cron marks a day field that is not restricted (spec.go there).
const starBit = 1 << 63

// Parse reads an expression. The zone is a name of the IANA database; "" is UTC. An error is a sentence for the one who wrote
// the expression; it wraps ErrNever if the expression can never fire.
func Parse(expression, zone string) (*Schedule, error) {
	location, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	if err := check(expression); err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("cron expression %q: %w", expression, explain(err))
	}
	spec, ok := parsed.(*robfig.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("cron expression %q: only five fields, or @hourly, @daily, @weekly, @monthly or @yearly", expression)
	}
	s := &Schedule{
		minutes: spec.Minute &^ starBit, hours: spec.Hour &^ starBit, days: spec.Dom &^ starBit, months: spec.Month &^ starBit,
		weekdays:  spec.Dow &^ starBit,
		eitherDay: spec.Dom&starBit == 0 && spec.Dow&starBit == 0,
		zone:      location,
	}
	s.everyHour = s.hours&allHours == allHours
	if _, ok := s.match(0, years(9)); !ok {
		return nil, fmt.Errorf("cron expression %q: %w", expression, ErrNever)
	}
	return s, nil
}

// loadZone returns a zone of the embedded database. The machine's own zone is none: it differs from process to process.
func loadZone(name string) (*time.Location, error) {
	if name == "Local" || len(name) > MaxZone {
		return nil, fmt.Errorf("unknown time zone %.64q: give a name of the IANA database, such as Europe/Berlin", name)
	}
	if known, found := loaded.Load(name); found {
		return known.(*time.Location), nil
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q: give a name of the IANA database, such as Europe/Berlin", name)
	}
	loaded.Store(name, location)
	return location, nil
}

// loaded are the zones that were loaded, by name. Each takes some kilobytes, which all schedules in the zone share; the database
// bounds their number.
var loaded sync.Map

// check refuses what the parser would read as something else, or would fail on without saying why: it panics on some prefixes
// that name a zone, and counts fields only.
func check(expression string) error {
	if len(expression) > MaxExpression {
		return fmt.Errorf("the cron expression has %d bytes, more than %d", len(expression), MaxExpression)
	}
	for _, r := range expression {
		if r < ' ' && r != '\t' || r > '~' {
			return fmt.Errorf("cron expression %q: only printable ASCII characters are allowed", expression)
		}
	}
	fields := strings.Fields(expression)
	if strings.Contains(expression, "TZ=") {
		return fmt.Errorf("cron expression %q: the time zone has a field of its own", expression)
	}
	if len(fields) > 0 && strings.HasPrefix(fields[0], "@") {
		if len(fields) > 1 || fields[0] != expression || strings.HasPrefix(expression, "@every") {
			return fmt.Errorf("cron expression %q: of the names that begin with @, only @hourly, @daily, @midnight, @weekly, @monthly, "+
				"@yearly and @annually are known; a period has to be written in five fields, such as */15 * * * *", expression)
		}
		return nil
	}
	switch len(fields) {
	case 5:
		return nil
	case 6:
		return fmt.Errorf("cron expression %q has six fields: seconds (in front) and years (at the end) are not supported; "+
			"give five: minute, hour, day, month, weekday", expression)
	case 7:
		return fmt.Errorf("cron expression %q has seven fields: seconds and years are not supported; "+
			"give the five between them: minute, hour, day, month, weekday", expression)
	}
	return fmt.Errorf("cron expression %q has %d fields: five are needed: minute, hour, day, month, weekday",
		expression, len(fields))
}

// explain adds to an error of the parser what it does not say.
func explain(err error) error {
	if strings.Contains(err.Error(), "(7) above maximum (6)") {
		return fmt.Errorf("%w: days of the week go from 0, Sunday, to 6, Saturday", err)
	}
	return err
}

// Zone returns the schedule's time zone.
func (s *Schedule) Zone() *time.Location { return s.zone }

// EitherDay reports whether both day fields are restricted, so that a day has to match only one of them.
func (s *Schedule) EitherDay() bool { return s.eitherDay }

// horizon is how far Next looks, in seconds: eight years lie between two leap days around the year 2100, and the zone may be
// most of a day off.
func horizon() int64 { return years(9) + 2*day }

// Next returns the first time after the given one at which the schedule fires, in the schedule's zone. It is zero if there is
// none within nine years, which Parse has ruled out for all usual times.
func (s *Schedule) Next(after time.Time) time.Time {
	from := after.Unix() + 1 // whole seconds: a schedule fires at none in between
	until := from + horizon()
	for {
		seg := s.segmentAt(from)
		if at, ok := s.inSegment(seg, from, until); ok {
			return time.Unix(at, 0).In(s.zone)
		}
		if seg.end >= until {
			return time.Time{}
		}
		from = seg.end
	}
}

// Between yields the times after from and not after to, in order.
func (s *Schedule) Between(from, to time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for at := s.Next(from); !at.IsZero() && !at.After(to); at = s.Next(at) {
			if !yield(at) {
				return
			}
		}
	}
}

// inSegment returns the first time in a segment at which the schedule fires, from a given one on and before until. All are in
// seconds since 1970.
func (s *Schedule) inSegment(seg segment, from, until int64) (at int64, ok bool) {
	wall := from + seg.offset
	if !s.everyHour {
		shown := s.shownBefore(seg)
		gap := seg.start + seg.offset // where the wall clock goes on after a gap
		if from <= seg.start && shown < gap {
			if _, ok := s.match(shown, gap); ok {
				return seg.start, true
			}
		}
		wall = max(wall, shown)
	}
	found, ok := s.match(wall, min(seg.end, until)+seg.offset)
	return found - seg.offset, ok
}
