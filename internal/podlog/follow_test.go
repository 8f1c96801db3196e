package podlog

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var podLogOptions = corev1.PodLogOptions{Container: "spider"}

// answer is how a kubelet answers one request for a log: with an error, or with the log that it has by then, which breaks off
// after some bytes, and how.
type answer struct {
	err    error
	lines  []line
	cut    int // bytes that are missing at the end
	breaks error
	hangs  bool
	after  time.Duration
}

var errRefused = errors.New("connection refused")

// kubelet answers as it was told, and remembers what it was asked.
type kubelet struct {
	answers []answer
	asked   []corev1.PodLogOptions
}

func (k *kubelet) open(ctx context.Context, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	k.asked = append(k.asked, *options)
	if len(k.answers) == 0 {
		return nil, errRefused
	}
	a := k.answers[0]
	k.answers = k.answers[1:]
	time.Sleep(a.after)
	if a.err != nil {
		return nil, a.err
	}
	since := time.Time{}
	if options.SinceTime != nil {
		since = options.SinceTime.Time
	}
	log := stamped(a.lines, since)
	log.Truncate(log.Len() - a.cut)
	readers := []io.Reader{log}
	if a.breaks != nil {
		readers = append(readers, errReader{a.breaks})
	}
	if a.hangs {
		readers = append(readers, hanging{ctx})
	}
	return io.NopCloser(io.MultiReader(readers...)), nil
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func TestFollowingALog(t *testing.T) {
	second := func(n int) time.Time { return time.Unix(1_700_000_000+int64(n), 0).UTC() }
	lines := []line{{second(0), "a\n"}, {second(1), "b\n"}, {second(1), "c\n"}, {second(9), "d\n"}}
	gone := apierrors.NewNotFound(corev1.Resource("pods"), "a")
	broken := errors.New("connection reset")
	unknown := apierrors.NewNotFound(corev1.Resource("pods/log"), "a")
	type state struct {
		ended bool
		err   error
	}
	runs, ended := state{}, state{ended: true}
	for name, test := range map[string]struct {
		answers []answer
		states  []state // one for each time that it is asked; the last stays
		want    string
		err     error
		took    time.Duration
		opened  int
	}{
		"to its end": {
			answers: []answer{{lines: lines}, {lines: lines}}, states: []state{ended}, want: "a\nb\nc\nd\n", opened: 2,
		},
		"over a rotation": {
			answers: []answer{{lines: lines[:2]}, {lines: lines[:3]}, {lines: lines}, {lines: lines}}, states: []state{runs, runs, ended},
			want: "a\nb\nc\nd\n", opened: 4, took: 200 * time.Millisecond,
		},
		"over a restart of kube-apiserver in the middle of a line": {
			answers: []answer{{lines: lines[:3], cut: 1, breaks: broken}, {err: errRefused}, {err: errRefused}, {lines: lines}, {lines: lines}},
			states:  []state{runs, {err: errRefused}, runs, ended}, want: "a\nb\nc\nd\n", opened: 5, took: 700 * time.Millisecond,
		},
		"over a restart of the kubelet, which does not know the Pod yet": {
			answers: []answer{{lines: lines[:1], breaks: broken}, {err: unknown}, {lines: lines}, {lines: lines}},
			states:  []state{runs, runs, ended}, want: "a\nb\nc\nd\n", opened: 4, took: 300 * time.Millisecond,
		},
		"whose rest came after its stream": {
			answers: []answer{{lines: lines[:1]}, {lines: lines}}, states: []state{ended}, want: "a\nb\nc\nd\n", opened: 2,
		},
		"that goes with its Pod after its end": {
			answers: []answer{{lines: lines}, {err: gone}}, states: []state{ended}, want: "a\nb\nc\nd\n", opened: 2,
		},
		"that goes with its Pod before its end": {
			answers: []answer{{lines: lines[:2], breaks: broken}, {err: gone}}, states: []state{ended}, want: "a\nb\n", err: ErrCutOff, opened: 2,
		},
		"that is gone when it is opened again": {
			answers: []answer{{lines: lines[:2]}, {err: gone}}, states: []state{runs}, want: "a\nb\n", err: ErrCutOff, opened: 2,
			took: 100 * time.Millisecond,
		},
		"of a node that is gone": {
			answers: []answer{{lines: lines[:2], breaks: broken}}, states: []state{runs}, want: "a\nb\n", err: errRefused, opened: 18,
			took: 61300 * time.Millisecond,
		},
		"of a process that writes nothing for hours": {
			answers: []answer{{lines: lines, after: 3 * time.Hour}, {lines: lines}}, states: []state{ended}, want: "a\nb\nc\nd\n", opened: 2,
			took: 3 * time.Hour,
		},
		"whose rest cannot be read": {
			answers: []answer{{lines: lines[:2], breaks: broken}, {err: errRefused}}, states: []state{ended}, want: "a\nb\n", err: errRefused, opened: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &kubelet{answers: test.answers}
				states := test.states
				r := &Reader{Open: k.open, Options: podLogOptions}
				r.Options.TailLines = new(int64(100))
				sink, start := &taken{}, time.Now()
				err := r.Follow(t.Context(), sink, func(context.Context) (bool, error) {
					s := states[0]
					if len(states) > 1 {
						states = states[1:]
					}
					return s.ended, s.err
				})
				if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
					t.Errorf("error %v, want %v", err, test.err)
				}
				if sink.text.String() != test.want || sink.gaps > 0 {
					t.Errorf("handed on %q and %d gaps, want %q", sink.text.String(), sink.gaps, test.want)
				}
				if took := time.Since(start); took != test.took || len(k.asked) != test.opened {
					t.Errorf("opened %d times in %v, want %d times in %v", len(k.asked), took, test.opened, test.took)
				}
				if first := k.asked[0]; !first.Follow || !first.Timestamps || first.Container != "spider" || *first.TailLines != 100 {
					t.Errorf("first asked for %+v", first)
				}
				if slices.ContainsFunc(k.asked[1:], func(o corev1.PodLogOptions) bool { return o.TailLines != nil || o.SinceTime == nil }) {
					t.Errorf("then asked for %+v", k.asked[1:])
				}
			})
		})
	}
}

func TestFollowingEndsWithItsContextAndItsSink(t *testing.T) {
	at := time.Unix(1_700_000_000, 0).UTC()
	running := func(context.Context) (bool, error) { return false, nil }
	t.Run("context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for name, a := range map[string]answer{"reading": {lines: []line{{at, "a\n"}}, hangs: true}, "between": {lines: []line{{at, "a\n"}}}} {
				why := errors.New("nobody wants it")
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
				r := &Reader{Open: (&kubelet{answers: []answer{a}}).open}
				if err := r.Follow(ctx, &taken{}, running); !errors.Is(err, why) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	})
	t.Run("sink", func(t *testing.T) {
		full := errors.New("full")
		r := &Reader{Open: (&kubelet{answers: []answer{{lines: []line{{at, "a\n"}}}}}).open}
		if err := r.Follow(t.Context(), &taken{err: full}, running); !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
	})
}

// TestFollowingGoesOnAtAPosition has another follower go on where one has ended, in the middle of a line.
func TestFollowingGoesOnAtAPosition(t *testing.T) {
	at := time.Unix(1_700_000_000, 0).UTC()
	lines := []line{{at, "first\n"}, {at, "second\n"}, {at.Add(time.Second), "third\n"}}
	ended := func(context.Context) (bool, error) { return true, nil }
	first, sink := &Reader{
		Open: (&kubelet{answers: []answer{{lines: lines[:2], cut: 3}, {lines: lines[:2], cut: 3}}}).open,
	}, &taken{}
	if err := first.Follow(t.Context(), sink, ended); err != nil || sink.text.String() != "first\nseco" {
		t.Fatalf("%q, %v", sink.text.String(), err)
	}
	position, err := ParsePosition(first.Position.String())
	if err != nil {
		t.Fatal(err)
	}
	second, rest := &Reader{Open: (&kubelet{answers: []answer{{lines: lines}, {lines: lines}}}).open, Position: position}, &taken{}
	if err := second.Follow(t.Context(), rest, ended); err != nil || rest.text.String() != "nd\nthird\n" {
		t.Errorf("%q, %v", rest.text.String(), err)
	}
	if !strings.HasPrefix(second.Position.String(), "1700000001000000000-1-") {
		t.Errorf("position %s", second.Position)
	}
}

func TestReadingALogAsItIs(t *testing.T) {
	at := time.Unix(1_700_000_000, 0).UTC()
	lines := []line{{at, "first\n"}, {at, "second\n"}}
	k := &kubelet{answers: []answer{{lines: lines}, {lines: []line{{at, "x"}}, breaks: errRefused}, {err: errRefused}}}
	whole, sink := &Reader{Open: k.open}, &taken{}
	if err := whole.Begin(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := whole.Read(sink); err != nil || sink.text.String() != "first\nsecond\n" {
		t.Errorf("%q, %v", sink.text.String(), err)
	}
	broken := &Reader{Open: k.open}
	if err := broken.Begin(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := broken.Read(sink); !errors.Is(err, errRefused) {
		t.Errorf("one that breaks off ends with %v", err)
	}
	if err := (&Reader{Open: k.open}).Begin(t.Context(), time.Minute); !errors.Is(err, errRefused) {
		t.Errorf("one that cannot be opened: %v", err)
	}
	if err := (&Reader{Open: opener(refusal + "x")}).Begin(t.Context(), time.Minute); !IsRefused(err) {
		t.Errorf("one that the node does not have: %v", err)
	}
	if o := k.asked[0]; o.Follow || !o.Timestamps {
		t.Errorf("asked for %+v", o)
	}
}
