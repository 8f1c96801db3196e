// Package measure holds what the measurements of every subject share: settings, statistics and the form of the report.
package measure

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings are those of every subject.
type Settings struct {
	// Rounds is how often everything is measured, in turns.
	Rounds int
	// Profiles is the directory that profiles are written to, empty for none.
	Profiles string
}

// Numbers is a flag of positive numbers, separated by commas.
type Numbers []int

func (n *Numbers) String() string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(*n)), ","), "[]")
}

// Set parses the numbers and sorts them.
func (n *Numbers) Set(text string) error {
	*n = nil
	for part := range strings.SplitSeq(text, ",") {
		number, err := strconv.Atoi(part)
		if err != nil || number < 1 {
			return fmt.Errorf("%q is not a positive number; separate several by commas", part)
		}
		if slices.Contains(*n, number) {
			return fmt.Errorf("%d is given twice", number)
		}
		*n = append(*n, number)
	}
	slices.Sort(*n)
	return nil
}

// Say reports progress to a person on standard error.
func Say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+"  "+format+"\n", args...)
}

// Pause waits for a time, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
