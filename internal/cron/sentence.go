package cron

import (
	"fmt"
	"strings"
	"time"
)

// The masks of fields that are not restricted.
const (
	allMinutes  = 1<<60 - 1
	allDays     = (1<<32 - 1) &^ 1 // 1 to 31
	allMonths   = (1<<13 - 1) &^ 1 // 1 to 12
	allWeekdays = 1<<7 - 1
)

// Sentence says in plain English when the schedule fires, as in "at 02:30, Monday to Friday, in Europe/Berlin".
func (s *Schedule) Sentence() string {
	parts := []string{s.timesOfDay()}
	if days := s.daysInWords(); days != "" {
		parts = append(parts, days)
	}
	if s.months&allMonths != allMonths {
		parts = append(parts, "in "+listed(values(s.months, 1, 12), monthName))
	}
	return strings.Join(append(parts, "in "+s.zone.String()), ", ")
}

// maxClockTimes is how many times of a day are listed one by one.
const maxClockTimes = 12

func (s *Schedule) timesOfDay() string {
	minutes, hours := values(s.minutes, 0, 59), values(s.hours, 0, 23)
	if !s.everyHour && len(minutes)*len(hours) <= maxClockTimes {
		var times []string
		for _, hour := range hours {
			for _, minute := range minutes {
				times = append(times, fmt.Sprintf("%02d:%02d", hour, minute))
			}
		}
		return "at " + joined(times)
	}
	if s.everyHour {
		switch {
		case len(minutes) == 1 && minutes[0] == 0:
			return "every hour"
		case len(minutes) == 1:
			return fmt.Sprintf("at minute %d of every hour", minutes[0])
		}
		if every := everyFewMinutes(minutes); every != "" {
			return every
		}
		return "at minutes " + listed(minutes, number) + " of every hour"
	}
	of := " of the hours " + listed(hours, number)
	if len(hours) == 1 {
		of = fmt.Sprintf(" of the hour %d", hours[0])
	}
	every := everyFewMinutes(minutes)
	switch {
	case every != "":
		return every + of
	case len(minutes) == 1:
		return fmt.Sprintf("at minute %d", minutes[0]) + of
	}
	return "at minutes " + listed(minutes, number) + of
}

// everyFewMinutes returns "" unless the minutes of an hour are those of an even step from 0 on.
func everyFewMinutes(minutes []int) string {
	if len(minutes) == 60 {
		return "every minute"
	}
	if len(minutes) < 2 || minutes[0] != 0 {
		return ""
	}
	step := minutes[1]
	for i, minute := range minutes {
		if minute != i*step {
			return ""
		}
	}
	if step*len(minutes) != 60 {
		return ""
	}
	return fmt.Sprintf("every %d minutes", step)
}

// daysInWords returns "" for every day if the time of day says all.
func (s *Schedule) daysInWords() string {
	anyDay, anyWeekday := s.days&allDays == allDays, s.weekdays&allWeekdays == allWeekdays
	ofMonth := values(s.days, 1, 31)
	onDays := "on days " + listed(ofMonth, number) + " of the month"
	if len(ofMonth) == 1 {
		onDays = fmt.Sprintf("on day %d of the month", ofMonth[0])
	}
	weekdays := listed(s.weekdaysFromMonday(), weekdayName)
	switch {
	case anyDay && anyWeekday, s.eitherDay && (anyDay || anyWeekday):
		if s.everyHour {
			return ""
		}
		return "every day"
	case s.eitherDay:
		return onDays + " or on " + weekdays + " (a day that matches either of them counts)"
	case anyDay:
		return weekdays
	default:
		return onDays
	}
}

// weekdaysFromMonday are 1, Monday, to 7, Sunday.
func (s *Schedule) weekdaysFromMonday() []int {
	days := values(s.weekdays, 1, 6)
	if s.weekdays&1 == 1 {
		days = append(days, 7)
	}
	return days
}

func weekdayName(day int) string { return time.Weekday(day % 7).String() }

func monthName(month int) string { return time.Month(month).String() }

func number(n int) string { return fmt.Sprint(n) }

// values are the bits of a mask from one to another.
func values(mask uint64, from, to int) (set []int) {
	for value := from; value <= to; value++ {
		if mask>>value&1 == 1 {
			set = append(set, value)
		}
	}
	return set
}

// listed lists numbers in ascending order by their names, three and more in a row as "a to b".
func listed(numbers []int, name func(int) string) string {
	var parts []string
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		if last-i >= 2 {
			parts = append(parts, name(numbers[i])+" to "+name(numbers[last]))
			i = last + 1
			continue
		}
		parts = append(parts, name(numbers[i]))
		i++
	}
	return joined(parts)
}

// joined returns "a", "a and b" or "a, b and c".
func joined(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}
