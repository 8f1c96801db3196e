package main

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestRun(t *testing.T) {
	for name, tt := range map[string]struct {
		arguments string
		code      int
		message   string
	}{
		"no arguments": {``, 0, finished(100)},
		"n":            {`{"n":"7"}`, 0, finished(7)},
		"zero":         {`{"n":"0"}`, 0, finished(0)},
		"an exit code": {`{"n":"1","exit":"3"}`, 3, finished(1)},
		"a failure":    {`{"fail":"no paper"}`, 1, `{"error":"no paper"}`},
		"a failure and its code": {
			`{"fail":"no paper","exit":"9"}`, 9, `{"error":"no paper"}`,
		},
		"n that is no number": {`{"n":"many"}`, 2, `{"error":"argument n: \"many\" is not a whole number between 0 and 1000000000"}`},
		"n below zero":        {`{"n":"-1"}`, 2, `{"error":"argument n: \"-1\" is not a whole number between 0 and 1000000000"}`},
		"a bad delay":         {`{"delay":"-1s"}`, 2, `{"error":"argument delay: -1s is not between 0s and 1h0m0s"}`},
		"a misspelt name":     {`{"N":"5"}`, 2, `{"error":"argument N: unknown; the counter takes n, delay, exit and fail"}`},
	} {
		t.Run(name, func(t *testing.T) {
			code, message := run(t.Context(), tt.arguments, io.Discard)
			if code != tt.code || string(message) != tt.message {
				t.Errorf("exit code %d, message %s\nwant exit code %d, message %s", code, message, tt.code, tt.message)
			}
		})
	}
}

// finished is the termination message of a spider that counted to n.
func finished(n int) string {
	return fmt.Sprintf(`{"items_scraped":%d,"responses":%d,"requests":%d,"errors":0,"finish_reason":"finished"}`, n, n, n)
}

func TestArgumentsThatAreNoObjectOfStringsAreRefused(t *testing.T) {
	for _, object := range []string{`[]`, `{"n":5}`, `{`, `null,`} {
		if code, message := run(t.Context(), object, io.Discard); code != 2 {
			t.Errorf("SPIDER_ARGUMENTS=%s: exit code %d, message %s", object, code, message)
		}
	}
}

func TestAStopKeepsTheCountSoFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		code, message := run(ctx, `{"n":"10","delay":"1s","exit":"4","fail":"not reached"}`, io.Discard)
		want := `{"items_scraped":3,"responses":3,"requests":3,"errors":0,"finish_reason":"shutdown"}`
		if code != 4 || string(message) != want {
			t.Errorf("exit code %d, message %s, want %s", code, message, want)
		}
	})
}
