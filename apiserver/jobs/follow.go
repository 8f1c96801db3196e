package jobs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// followPatience is how long a log that was being followed is tried to be opened again, when the API server or the node
	// does not answer.
	followPatience = time.Minute
	// shortestPause and longestPause bound how long is waited before a log is opened again.
	shortestPause, longestPause = 100 * time.Millisecond, 5 * time.Second
)

// follow passes the log on until the spider's process has ended. A stream from the node may end before that: because
// the log was rotated, or because the API server or the kubelet was restarted. Nothing tells such an end from the true one but
// the Pod. So the log is then opened again, behind the last line that was passed on; lines carry their times for that, which
// are taken off again.
func (l *Log) follow(ctx context.Context, to LogTo) error {
	var position logPosition
	distance, failing := shortestPause, time.Time{}
	for body := l.body; ; {
		before := position
		err := position.copy(to, body)
		if ctx.Err() != nil || errors.Is(err, errWriting) {
			return err
		}
		if position != before {
			distance, failing = shortestPause, time.Time{}
		}
		ended, err := l.ended(ctx)
		if ended {
			return l.rest(ctx, to, &position)
		}
		for body = nil; body == nil; {
			if err != nil {
				if failing.IsZero() {
					failing = time.Now()
				}
				if time.Since(failing) > followPatience {
					return fmt.Errorf("following the log of Pod %s/%s: %w", l.namespace, l.pod, err)
				}
			}
			if !pause(ctx, distance) {
				return nil
			}
			if err := to.Check(); err != nil {
				return err
			}
			distance = min(2*distance, longestPause)
			options := position.behind(l.options)
			if body, err = dialLog(ctx, l.pods, l.namespace, l.pod, options); apierrors.IsNotFound(err) {
				return nil // The Pod is gone, and the log with it.
			}
		}
	}
}

// ended reports whether the spider's process has ended, or its Pod is gone.
func (l *Log) ended(ctx context.Context) (bool, error) {
	pod, err := l.pods.Get(ctx, l.namespace, l.pod)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return spiderState(pod).Terminated != nil, nil
}

// rest writes what a stream that broke off before the end has left out.
func (l *Log) rest(ctx context.Context, to LogTo, position *logPosition) error {
	options := position.behind(l.options)
	options.Follow = false
	body, err := dialLog(ctx, l.pods, l.namespace, l.pod, options)
	if apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the end of the log of Pod %s/%s: %w", l.namespace, l.pod, err)
	}
	return position.copy(to, body)
}

// logPosition is the place in a log up to which it was passed on.
type logPosition struct {
	// at is the time of the last line, and lines how many whole lines of that very time were passed on.
	at    time.Time
	lines int
	// part is how many bytes of the line behind those were passed on.
	part int64
}

// behind returns the options that open a log not far before the position.
func (p *logPosition) behind(options corev1.PodLogOptions) corev1.PodLogOptions {
	if !p.at.IsZero() {
		options.TailLines, options.SinceSeconds = nil, nil
		options.SinceTime = &metav1.Time{Time: p.at.Truncate(time.Second)}
	}
	return options
}

// errWriting says that it was the reader of a log that could not be written to.
var errWriting = errors.New("writing a log to its reader")

// space stands between a line and its time.
var space = []byte(" ")

// copy passes on what lies behind the position, without the times of lines, and moves the position. It closes the log.
func (p *logPosition) copy(to LogTo, log io.ReadCloser) error {
	in := bufio.NewReaderSize(log, LogBuffer)
	skip := skipping{start: *p, active: !p.at.IsZero()}
	fresh := true
	for {
		piece, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return errors.Join(err, log.Close())
		}
		switch {
		case !fresh:
		case errors.Is(err, io.EOF) && !bytes.Contains(piece, space):
			piece = nil // Cut off before the line's own beginning.
		default:
			piece = skip.line(p, piece)
		}
		fresh = err == nil
		if wanted := skip.rest(piece); len(wanted) > 0 {
			if _, err := to.Write(wanted); err != nil {
				return errors.Join(errWriting, err, log.Close())
			}
			if skip.counts {
				p.passed(wanted)
			}
		}
		if in.Buffered() == 0 || errors.Is(err, io.EOF) {
			if err := to.Flush(); err != nil {
				return errors.Join(errWriting, err, log.Close())
			}
		}
		if errors.Is(err, io.EOF) {
			return log.Close()
		}
	}
}

func (p *logPosition) passed(piece []byte) {
	if piece[len(piece)-1] == '\n' {
		p.lines++
		p.part = 0
		return
	}
	p.part += int64(len(piece))
}

// skipping leaves out what was passed on before, of a log that was opened again.
type skipping struct {
	start  logPosition
	active bool
	// same counts the lines of the time of start.
	same int
	// drop is how many bytes of the present line are yet to be left out; all of them when negative.
	drop int64
	// counts says that the present line is of the time of the position.
	counts bool
}

// line looks at the beginning of a line, moves the position there, and returns it without its time.
func (s *skipping) line(p *logPosition, piece []byte) []byte {
	s.drop, s.counts = 0, false
	text, rest, _ := bytes.Cut(piece, space)
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		// What has no time is not of the log, but about it.
		if bytes.HasPrefix(piece, []byte(logRemoved)) {
			s.drop = -1
		}
		return piece
	}
	if s.active {
		switch {
		case at.Before(s.start.at):
			s.drop = -1
		case at.Equal(s.start.at):
			s.same++
			if s.same <= s.start.lines {
				s.drop = -1
			} else if s.same == s.start.lines+1 {
				s.drop = s.start.part
			}
		default:
			s.active = false
		}
	}
	// The two outputs of a process may be written down a little out of order.
	if at.After(p.at) {
		*p = logPosition{at: at}
	}
	s.counts = at.Equal(p.at)
	return rest
}

// rest returns what of a piece of the present line is to be passed on.
func (s *skipping) rest(piece []byte) []byte {
	if s.drop < 0 {
		return nil
	}
	n := min(s.drop, int64(len(piece)))
	s.drop -= n
	return piece[n:]
}

// pause waits, and reports whether there is still time left then.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
