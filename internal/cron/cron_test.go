package cron

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const layout = "2006-01-02 15:04 -0700"

// TestNext has the days on which wall clocks do what most schedulers have wrong.
func TestNext(t *testing.T) {
	for _, c := range []struct {
		name, cron, zone, after string
		want                    []string
	}{
		{"a usual day", "30 2 * * *", "", "2026-11-27 00:00 +0000", []string{"2026-11-27 02:30 +0000", "2026-11-28 02:30 +0000"}},
		{"never at the time itself", "30 2 * * *", "", "2026-11-27 02:30 +0000", []string{"2026-11-28 02:30 +0000"}},
		{"a list, a range and a step", "5,50 9-17/4 * * MON-FRI", "", "2026-11-27 17:06 +0000", []string{"2026-11-27 17:50 +0000", "2026-11-30 09:05 +0000"}},
		{"either day", "0 0 13 * FRI", "", "2026-11-10 00:00 +0000", []string{"2026-11-13 00:00 +0000", "2026-11-20 00:00 +0000", "2026-11-27 00:00 +0000", "2026-12-04 00:00 +0000", "2026-12-11 00:00 +0000", "2026-12-13 00:00 +0000"}},
		{"a leap day", "0 12 29 2 *", "", "2026-01-01 00:00 +0000", []string{"2028-02-29 12:00 +0000", "2032-02-29 12:00 +0000"}},
		{"a leap day, eight years off", "0 12 29 2 *", "", "2096-03-01 00:00 +0000", []string{"2104-02-29 12:00 +0000"}},
		{"@monthly", "@monthly", "", "2026-11-27 00:00 +0000", []string{"2026-12-01 00:00 +0000", "2027-01-01 00:00 +0000"}},

		{"Berlin, in the gap", "30 2 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100", []string{"2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"}},
		{"Berlin, several in the gap are one", "*/10 2 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100", []string{"2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200"}},
		{"Berlin, in the gap and at its end are one", "0 2,3 * * *", "Europe/Berlin", "2026-03-28 12:00 +0100", []string{"2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200"}},
		{"Berlin, repeated", "30 2 * * *", "Europe/Berlin", "2026-10-24 12:00 +0200", []string{"2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"}},
		{"Berlin, a step of the repeated hour", "*/30 2 * * *", "Europe/Berlin", "2026-10-25 02:10 +0200", []string{"2026-10-25 02:30 +0200", "2026-10-26 02:00 +0100"}},
		{"Berlin, every hour in spring", "0 * * * *", "Europe/Berlin", "2026-03-29 00:30 +0100", []string{"2026-03-29 01:00 +0100", "2026-03-29 03:00 +0200"}},
		{"Berlin, every hour in autumn", "0 */1 * * *", "Europe/Berlin", "2026-10-25 01:30 +0200", []string{"2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100"}},
		{"Berlin, all hours by a range", "30 0-23 * * *", "Europe/Berlin", "2026-10-25 02:00 +0200", []string{"2026-10-25 02:30 +0200", "2026-10-25 02:30 +0100"}},
		{"Berlin, every second hour", "0 */2 * * *", "Europe/Berlin", "2026-10-25 00:30 +0200", []string{"2026-10-25 02:00 +0200", "2026-10-25 04:00 +0100"}},
		{"New York, in the gap", "15 2 * * *", "America/New_York", "2026-03-07 12:00 -0500", []string{"2026-03-08 03:00 -0400", "2026-03-09 02:15 -0400"}},
		{"New York, repeated", "15 1 * * *", "America/New_York", "2026-10-31 12:00 -0400", []string{"2026-11-01 01:15 -0400", "2026-11-02 01:15 -0500"}},
		{"Lord Howe, half an hour is skipped", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00 +1030", []string{"2026-10-04 02:30 +1100", "2026-10-05 02:15 +1100"}},
		{"Lord Howe, half an hour is repeated", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00 +1100", []string{"2026-04-05 01:45 +1100", "2026-04-06 01:45 +1030"}},
		{"Sao Paulo 2018, midnight is in the gap", "0 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00 -0300", []string{"2018-11-04 01:00 -0200", "2018-11-05 00:00 -0200"}},
		{"Sao Paulo 2018, the first of the week", "@weekly", "America/Sao_Paulo", "2018-11-03 12:00 -0300", []string{"2018-11-04 01:00 -0200", "2018-11-11 00:00 -0200"}},
		{"Apia 2011, a day is missing", "0 9 * * *", "Pacific/Apia", "2011-12-29 12:00 -1000", []string{"2011-12-31 00:00 +1400", "2011-12-31 09:00 +1400"}},
		{"Apia 2011, the missing Friday", "0 9 * * FRI", "Pacific/Apia", "2011-12-29 12:00 -1000", []string{"2011-12-31 00:00 +1400", "2012-01-06 09:00 +1400"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse(c.cron, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(layout, c.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if at = s.Next(at); at.Format(layout) != want {
					t.Fatalf("fires at %s, want %s", at.Format(layout), want)
				}
			}
		})
	}
}

// TestParseRefuses asserts that a mistake is named.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ cron, zone, says string }{
		{"", "", "has 0 fields"},
		{"* * * *", "", "has 4 fields"},
		{"0 30 2 * * *", "", "six fields: seconds"},
		{"0 30 2 * * * 2026", "", "seven fields"},
		{"60 * * * *", "", "above maximum (59)"},
		{"0 0 * * 7", "", "0, Sunday, to 6, Saturday"},
		{"0 0 1 13 *", "", "above maximum (12)"},
		{"x * * * *", "", "x"},
		{"*/0 * * * *", "", "step of range"},
		{"TZ=Europe/Berlin 0 2 * * *", "", "time zone has a field"},
		{"CRON_TZ=UTC 0 2 * * *", "", "time zone has a field"},
		{"TZ=", "", "time zone has a field"},
		{"@every 5m", "", "*/15 * * * *"},
		{"@fortnightly", "", "fortnightly"},
		{"@daily 0", "", "@daily"},
		{"0 2 * * *\n", "", "printable"},
		{"0 0 30 2 *", "", "never fires"},
		{"0 0 31 4,6,9,11 *", "", "never fires"},
		{strings.Repeat("0,", 200) + "0 * * * *", "", "more than 256"},
		{"@daily", "Local", "unknown time zone"},
		{"@daily", "Mars/Olympus", "unknown time zone"},
		{"@daily", "../../etc/passwd", "unknown time zone"},
	} {
		_, err := Parse(c.cron, c.zone)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q in %q: %v, want an error that says %q", c.cron, c.zone, err, c.says)
		}
		if errors.Is(err, ErrNever) != (c.says == "never fires") {
			t.Errorf("%q: ErrNever is %v", c.cron, errors.Is(err, ErrNever))
		}
	}
}

// TestBetween yields both ends as documented: after the first, up to the second.
func TestBetween(t *testing.T) {
	s, err := Parse("0 * * * *", "")
	if err != nil {
		t.Fatal(err)
	}
	from := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	got := slices.Collect(s.Between(from, from.Add(2*time.Hour)))
	if len(got) != 2 || !got[0].Equal(from.Add(time.Hour)) || !got[1].Equal(from.Add(2*time.Hour)) {
		t.Errorf("between are %v", got)
	}
}

func BenchmarkNext(b *testing.B) {
	at := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	for name, cron := range map[string]string{"every minute": "* * * * *", "daily": "30 2 * * *", "leap day": "0 0 29 2 *"} {
		s, err := Parse(cron, "Europe/Berlin")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Next(at)
			}
		})
	}
}
