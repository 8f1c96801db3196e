package podlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/scrapethis/spider-operator/controllers/stats"
)

// minLines is the fewest lines that are asked for, however long they are: a dump of Scrapy's stats has about forty. The
// kubelet counts pieces of at most 16 KiB as lines here, so these are at most 1 MiB.
const minLines = 64

// errTooMuch says that a log was given up on because more came out of it than it may cost.
var errTooMuch = errors.New("the container writes more log than is read")

// A read that ran out of time has hung if not one byte came, and was slow otherwise.
var (
	errHung = fmt.Errorf("nothing of it came in time: %w", context.DeadlineExceeded)
	errSlow = fmt.Errorf("it was not read to its end in time: %w", context.DeadlineExceeded)
)

// unavailable begins the one line that the kubelet sends in place of a log which it cannot read, with status 200.
const unavailable = "unable to retrieve container logs for "

// intake is the memory that one read needs.
type intake struct {
	ring   *stats.Ring
	buffer []byte
}

var intakes = sync.Pool{New: func() any {
	return &intake{ring: stats.NewRing(stats.MaxLog), buffer: make([]byte, 32<<10)}
}}

// take reads body to its end into the ring. Before each further piece it asks proceed, with the length of the last one.
func (in *intake) take(ctx context.Context, body io.Reader, proceed func(n int) error) error {
	for {
		n, err := body.Read(in.buffer)
		_, _ = in.ring.Write(in.buffer[:n])
		readBytesTotal.Add(float64(n))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return in.refusal()
		case err != nil:
			return err
		}
		if err := proceed(n); err != nil {
			return err
		}
	}
}

// brought reports whether anything came out of the log.
func (in *intake) brought() bool {
	return len(in.ring.Bytes()) > 0
}

// refusal returns the error that the kubelet sent instead of a log, or nil.
func (in *intake) refusal() error {
	text := in.ring.Bytes()
	if len(text) < 256 && bytes.HasPrefix(text, []byte(unavailable)) {
		return fmt.Errorf("the kubelet said %q", text)
	}
	return nil
}

// open opens a log's last lines, and has it closed when ctx ends, in case its reader waits for more.
func (c *Collector) open(ctx context.Context, target Target, lines int64, follow bool) (io.ReadCloser, error) {
	body, err := c.source.Open(ctx, target, &corev1.PodLogOptions{
		Container: target.Container,
		Follow:    follow,
		TailLines: &lines,
	})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = body.Close() })
	return body, nil
}

// tail reads the end of a log. Where its lines are so long that they exceed what a read may take, it asks for fewer of
// them, from then on. ctx bounds its time. Counts may be returned with an error, too: they were there, but perhaps not at the end.
func (c *Collector) tail(ctx context.Context, p *pod, mode Mode) (counts stats.Counts, counted bool, err error) {
	in := intakes.Get().(*intake)
	defer intakes.Put(in)
	answered := false
	for more := true; more; {
		err = c.takeTail(ctx, p.target, in, c.linesOf(p))
		answered = answered || in.brought()
		more = errors.Is(err, errTooMuch) && c.askForFewer(p)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errHung
		if answered {
			err = errSlow
		}
	}
	counts, counted = stats.ParseLog(in.ring.Bytes())
	countRead(mode, counted, err)
	if err != nil {
		err = p.failed(err)
		if !errors.Is(err, context.Canceled) {
			c.options.Log.V(1).Info("Log not read", "mode", mode.String(), "error", err.Error())
		}
	}
	return counts, counted, err
}

func (c *Collector) takeTail(ctx context.Context, target Target, in *intake, lines int64) error {
	in.ring.Reset()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := c.open(ctx, target, lines, false)
	if err != nil {
		return err
	}
	defer body.Close()
	taken := 0
	return in.take(ctx, body, func(n int) error {
		if taken += n; taken >= c.options.MaxBytes {
			return errTooMuch
		}
		return nil
	})
}

func (c *Collector) linesOf(p *pod) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.lines
}

// askForFewer has fewer of the Pod's lines read from now on. It returns false when they are few already.
func (c *Collector) askForFewer(p *pod) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.lines <= minLines {
		return false
	}
	p.lines = max(p.lines/8, minLines)
	return true
}

// backoff returns how long to wait after the nth failure in a row, from 0.
func backoff(n int) time.Duration {
	return min(250*time.Millisecond<<min(n, 8), 2*time.Second)
}
