package cron

import (
	"archive/zip"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fires is the definition: the instants in [from, until) at which an expression fires, found by looking at every minute of what
// the zone's wall clocks show, in order.
func fires(s *Schedule, from, until time.Time) []time.Time {
	var found []time.Time
	wallOf := func(at time.Time) int64 {
		_, offset := at.In(s.zone).Zone()
		return at.Unix() + int64(offset)
	}
	matches := func(wall int64) bool {
		w := time.Unix(wall, 0).UTC()
		ofMonth, ofWeek := s.days>>w.Day()&1 == 1, s.weekdays>>w.Weekday()&1 == 1
		ofDay := ofMonth && ofWeek
		if s.eitherDay {
			ofDay = ofMonth || ofWeek
		}
		return ofDay && s.months>>w.Month()&1 == 1 && s.hours>>w.Hour()&1 == 1 && s.minutes>>w.Minute()&1 == 1
	}
	begin := from.Add(-60 * time.Hour) // so that what was shown before is known
	shown := wallOf(begin)
	for at := begin; at.Before(until); at = at.Add(time.Minute) {
		wall := wallOf(at)
		due := false
		switch {
		case s.everyHour:
			due = matches(wall)
		default:
			for ; shown <= wall; shown += 60 {
				due = due || matches(shown)
			}
		}
		if due && !at.Before(from) {
			found = append(found, at)
		}
	}
	return found
}

// zones are the names of all zones that the machine's Go knows.
func zones(t *testing.T) []string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("find Go: %v", err)
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatalf("find the names of zones: %v", err)
	}
	defer func() { _ = archive.Close() }()
	var names []string
	for _, file := range archive.File {
		if !strings.HasSuffix(file.Name, "/") {
			names = append(names, file.Name)
		}
	}
	if len(names) < 300 {
		t.Fatalf("only %d zones", len(names))
	}
	return names
}

// TestEveryChangeOfTwentyYears compares Next with the definition around each change of each zone, for expressions of all kinds.
func TestEveryChangeOfTwentyYears(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{} // many zones are others by another name
	changes := 0
	for _, zone := range zones(t) {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Date(2006, 1, 1, 0, 0, 0, 0, location); at.Year() < 2027; {
			_, change := at.ZoneBounds()
			if change.IsZero() {
				break
			}
			_, before := change.Add(-1).Zone()
			_, after := change.Zone()
			at = change
			key := fmt.Sprint(change.Unix(), before, after)
			if seen[key] || before == after {
				continue
			}
			seen[key] = true
			changes++
			compare(t, fmt.Sprintf("%d %d * * *", random.IntN(60), change.Add(-time.Hour).Hour()), zone, change)
			compare(t, fmt.Sprintf("*/%d %d,%d * * *", 1+random.IntN(59), change.Hour(), random.IntN(24)), zone, change)
			compare(t, randomExpression(random), zone, change)
		}
	}
	if changes < 200 {
		t.Errorf("only %d changes were seen", changes)
	}
}

func compare(t *testing.T, cron, zone string, change time.Time) {
	t.Helper()
	s, err := Parse(cron, zone)
	if err != nil {
		t.Fatal(err)
	}
	from, until := change.Add(-30*time.Hour), change.Add(30*time.Hour)
	want := fires(s, from, until)
	got := slices.Collect(s.Between(from.Add(-time.Second), until.Add(-time.Second)))
	if !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("%s in %s around %s: fires at\n%v, want\n%v", cron, zone, change, got, want)
	}
}

func randomExpression(random *rand.Rand) string {
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	number := func(low, high int) string { return fmt.Sprint(low + random.IntN(high-low+1)) }
	return strings.Join([]string{
		pick("*", "0", "*/15", number(0, 59), number(0, 30)+"-"+number(30, 59), "59,"+number(0, 59)),
		pick("*", "*/1", "0-23", "*/2", number(0, 23), number(0, 10)+"-"+number(10, 23)+"/3", "0,1,2,3"),
		pick("*", "*", "?", "1-31", number(1, 28), "*/2"), pick("*", "*", "1-12", "*/2,*"),
		pick("*", "*", "0-6", "MON-FRI", number(0, 6), "*/2"),
	}, " ")
}

// FuzzParse asserts that no expression makes it panic, and that what can be read fires after each time, and never twice.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"* * * * *", "TZ=", "CRON_TZ=x", "@every 1s", "0 0 29 2 *", "1-2/3,4 ? jan SUN-sat", "@yearly", ",,, , , , ,"} {
		f.Add(seed, "Europe/Berlin", int64(1793000000))
		f.Add(seed, "Pacific/Apia", int64(1325200000))
	}
	f.Fuzz(func(t *testing.T, cron, zone string, after int64) {
		s, err := Parse(cron, zone)
		if err != nil {
			return
		}
		after = mod(after, 8000000000)
		first := s.Next(time.Unix(after, 0))
		if first.IsZero() {
			return
		}
		if first.Unix() <= after || first.Unix()-after > horizon() {
			t.Errorf("%q in %q after %d: %s", cron, zone, after, first)
		}
		if second := s.Next(first); !second.IsZero() && !second.After(first) {
			t.Errorf("%q in %q fires at %s, and then at %s", cron, zone, first, second)
		}
		if again := s.Next(first.Add(-time.Second)); !again.Equal(first) {
			t.Errorf("%q in %q fires at %s, or at %s", cron, zone, first, again)
		}
	})
}
