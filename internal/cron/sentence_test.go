package cron

import (
	"strings"
	"testing"
)

func TestSentence(t *testing.T) {
	for _, c := range []struct{ cron, zone, want string }{
		{"* * * * *", "", "every minute, in UTC"},
		{"*/15 * * * *", "", "every 15 minutes, in UTC"},
		{"*/7 * * * *", "", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour, in UTC"},
		{"0 * * * *", "", "every hour, in UTC"},
		{"@hourly", "", "every hour, in UTC"},
		{"5 * * * *", "", "at minute 5 of every hour, in UTC"},
		{"5,35 */1 * * *", "", "at minutes 5 and 35 of every hour, in UTC"},
		{"0-10,30 * * * *", "", "at minutes 0 to 10 and 30 of every hour, in UTC"},
		{"* 9-17 * * *", "", "every minute of the hours 9 to 17, every day, in UTC"},
		{"*/10 9 * * *", "", "at 09:00, 09:10, 09:20, 09:30, 09:40 and 09:50, every day, in UTC"},
		{"* 9 * * *", "", "every minute of the hour 9, every day, in UTC"},
		{"5,50 9-17 * * *", "", "at minutes 5 and 50 of the hours 9 to 17, every day, in UTC"},
		{"7 1-23 * * *", "", "at minute 7 of the hours 1 to 23, every day, in UTC"},
		{"0 */6 * * *", "", "at 00:00, 06:00, 12:00 and 18:00, every day, in UTC"},
		{"@daily", "Europe/Berlin", "at 00:00, every day, in Europe/Berlin"},
		{"30 2 * * MON-FRI", "Europe/Berlin", "at 02:30, Monday to Friday, in Europe/Berlin"},
		{"30 2 * * 0,6", "", "at 02:30, Saturday and Sunday, in UTC"},
		{"30 2 * * 0", "", "at 02:30, Sunday, in UTC"},
		{"30 2 * * TUE,THU-SAT", "", "at 02:30, Tuesday and Thursday to Saturday, in UTC"},
		{"* * * * MON", "", "every minute, Monday, in UTC"},
		{"@weekly", "", "at 00:00, Sunday, in UTC"},
		{"@monthly", "", "at 00:00, on day 1 of the month, in UTC"},
		{"@yearly", "", "at 00:00, on day 1 of the month, in January, in UTC"},
		{"0 0 1,15 * *", "", "at 00:00, on days 1 and 15 of the month, in UTC"},
		{"0 0 1-7 JAN-MAR,DEC *", "", "at 00:00, on days 1 to 7 of the month, in January to March and December, in UTC"},
		{"0 0 13 * FRI", "", "at 00:00, on day 13 of the month or on Friday (a day that matches either of them counts), in UTC"},
		{"0 0 1-31 * FRI", "", "at 00:00, every day, in UTC"},
		{"0 0 */16 * MON,TUE", "", "at 00:00, on days 1 and 17 of the month or on Monday and Tuesday (a day that matches either of them counts), in UTC"},
	} {
		s, err := Parse(c.cron, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Sentence(); got != c.want {
			t.Errorf("%s: %q, want %q", c.cron, got, c.want)
		}
		if s.EitherDay() && strings.Contains(s.Sentence(), "month") != strings.Contains(s.Sentence(), "either") {
			t.Errorf("%s: %q does not say that either day counts", c.cron, s.Sentence())
		}
	}
}
