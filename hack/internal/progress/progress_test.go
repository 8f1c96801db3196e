package progress

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"testing"
	"testing/synctest"
	"time"
)

func TestEachStepIsOneLine(t *testing.T) {
	failure := errors.New("no")
	for name, test := range map[string]struct {
		takes time.Duration
		note  string
		err   error
		want  string
	}{
		"quick":     {time.Second, "", nil, `^  start etcd +1\.0 s\n$`},
		"noted":     {time.Second, "3 packages", nil, `^  start etcd: 3 packages +1\.0 s\n$`},
		"failed":    {time.Second, "", failure, `^  start etcd +failed after 1\.0 s\n$`},
		"cancelled": {time.Second, "", context.Canceled, `^  start etcd +interrupted after 1\.0 s\n$`},
		"slow":      {10 * time.Second, "waiting", nil, `^  start etcd \.\.\. 2 s  waiting\n  start etcd \.\.\. 7 s  waiting\n  start etcd: waiting +10\.0 s\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				p := &Printer{out: &out}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				err := p.Do(ctx, "start etcd", func(_ context.Context, note Note) error {
					if test.note != "" {
						note("%s", test.note)
					}
					time.Sleep(test.takes)
					if errors.Is(test.err, context.Canceled) {
						cancel()
					}
					return test.err
				})
				if !errors.Is(err, test.err) {
					t.Errorf("the step's error became %v", err)
				}
				if !regexp.MustCompile(test.want).MatchString(out.String()) {
					t.Errorf("printed %q, want %s", out.String(), test.want)
				}
			})
		})
	}
}
