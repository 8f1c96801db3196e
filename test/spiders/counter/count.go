package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Bounds of the arguments.
const (
	defaultItems = 100
	maxItems     = 1_000_000_000
	maxDelay     = time.Hour
)

// arguments is what SPIDER_ARGUMENTS may hold. Every value is a string, as spider arguments are.
type arguments struct {
	items int           // "n": how far to count
	delay time.Duration // "delay": the pause before each item, such as "50ms"
	code  int           // "exit": the exit code after counting
	fail  string        // "fail": an error to end with instead of counts
}

// result is the termination message of a spider that ran: the counts, by the names that the operator reads.
type result struct {
	Items        int    `json:"items_scraped"`
	Responses    int    `json:"responses"`
	Requests     int    `json:"requests"`
	Errors       int    `json:"errors"`
	FinishReason string `json:"finish_reason"`
}

// failure is the termination message of a spider that could not run.
type failure struct {
	Error string `json:"error"`
}

// run counts as the JSON object given says, until ctx ends, and returns the exit code and the termination message.
func run(ctx context.Context, object string, progress io.Writer) (code int, message []byte) {
	args, err := parse(object)
	if err != nil {
		return 2, encode(failure{err.Error()})
	}
	counted := count(ctx, args, progress)
	reason := "finished"
	if counted < args.items {
		reason = "shutdown"
	}
	if args.fail != "" && reason == "finished" {
		return max(args.code, 1), encode(failure{args.fail})
	}
	return args.code, encode(result{Items: counted, Responses: counted, Requests: counted, FinishReason: reason})
}

// count says every ten seconds how far it has come, and returns how far it came.
func count(ctx context.Context, args arguments, progress io.Writer) int {
	lastReport := time.Now()
	for counted := range args.items {
		if args.delay > 0 {
			select {
			case <-time.After(args.delay):
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return counted
		}
		if time.Since(lastReport) >= 10*time.Second {
			_, _ = fmt.Fprintf(progress, "counted to %d of %d\n", counted+1, args.items) // the count goes on without a log
			lastReport = time.Now()
		}
	}
	return args.items
}

// parse reads SPIDER_ARGUMENTS; an empty string is no arguments. Names it does not know are an error, so that a
// misspelt one is seen.
func parse(object string) (arguments, error) {
	args := arguments{items: defaultItems}
	if object == "" {
		return args, nil
	}
	var values map[string]string
	if err := json.Unmarshal([]byte(object), &values); err != nil {
		return args, fmt.Errorf("SPIDER_ARGUMENTS is not a JSON object of strings: %w", err)
	}
	for name, value := range values {
		if err := args.set(name, value); err != nil {
			return args, fmt.Errorf("argument %s: %w", name, err)
		}
	}
	return args, nil
}

func (a *arguments) set(name, value string) (err error) {
	switch name {
	case "n":
		a.items, err = integer(value, 0, maxItems)
	case "exit":
		a.code, err = integer(value, 0, 255)
	case "delay":
		a.delay, err = time.ParseDuration(value)
		if err == nil && (a.delay < 0 || a.delay > maxDelay) {
			err = fmt.Errorf("%s is not between 0s and %s", value, maxDelay)
		}
	case "fail":
		a.fail = value
	default:
		err = errors.New("unknown; the counter takes n, delay, exit and fail")
	}
	return err
}

func integer(value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%q is not a whole number between %d and %d", value, least, most)
	}
	return n, nil
}

// encode cannot fail for the two flat types it is given.
func encode[T result | failure](message T) []byte {
	encoded, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return encoded
}
