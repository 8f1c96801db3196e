package podlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/controllers/spiderjob/stats"
	logs "github.com/scrapethis/spider-operator/internal/podlog"
)

// minLines is the least number of lines requested, however long they are: a dump of Scrapy's stats has about forty. The kubelet
// counts pieces of at most 16 KiB as lines here, so these are at most 1 MiB.
const minLines = 64

// errTooMuch means that a log was given up because it exceeded its bound.
var errTooMuch = errors.New("the container writes more log than is read")

// A read that ran out of time hung if not one byte came, and was slow otherwise.
var (
	errHung = fmt.Errorf("no data came in time: %w", context.DeadlineExceeded)
	errSlow = fmt.Errorf("it was not read to its end in time: %w", context.DeadlineExceeded)
)

const (
	// manyLines is how many of a log's last lines are requested if the usual ones do not contain the end: a dump may have
	// thousands of lines, and be followed by as many others.
	manyLines = 32000
	// manyTimes is how many times Options.MaxBytes these may take.
	manyTimes = 4
	// headBytes is how much of a log's beginning is read if the end mentions errors: Scrapy logs only once, when the spider
	// opens, that a feed could not be opened.
	headBytes = 256 << 10
	// longestLine is the longest piece of a line that kubelets count as a line.
	longestLine = 16 << 10
	// endBytes is how many of a log's last bytes show whether it still ends as it did.
	endBytes = 1 << 10
)

// readBuffer is the memory that one read needs.
type readBuffer struct {
	log    stats.Log
	buffer []byte
	end    []byte // the last bytes, at least endBytes of them if there are that many
	taken  int
	lines  int64
}

var intakes = sync.Pool{New: func() any {
	return &readBuffer{buffer: make([]byte, 32<<10), end: make([]byte, 0, 2*endBytes)}
}}

func (in *readBuffer) reset() {
	in.log.Reset()
	in.end = in.end[:0]
	in.taken, in.lines = 0, 0
}

// write takes a piece of the log.
func (in *readBuffer) write(piece []byte) {
	_, _ = in.log.Write(piece) // never fails
	in.taken += len(piece)
	in.lines += int64(bytes.Count(piece, []byte{'\n'}))
	last := piece[max(0, len(piece)-endBytes):]
	if len(in.end)+len(last) > cap(in.end) {
		in.end = append(in.end[:0], in.end[len(in.end)-endBytes:]...)
	}
	in.end = append(in.end, last...)
}

// take reads body to its end into the log. Before each further piece it calls proceed, with the length of the last one.
func (in *readBuffer) take(ctx context.Context, body io.Reader, proceed func(n int) error) error {
	for {
		n, err := body.Read(in.buffer)
		in.write(in.buffer[:n])
		readBytesTotal.Add(float64(n))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := proceed(n); err != nil {
			return err
		}
	}
}

// brought reports whether anything came out of the log.
func (in *readBuffer) brought() bool { return in.taken > 0 }

// short reports whether fewer lines came than were requested: then nothing precedes them in the file.
func (in *readBuffer) short(asked int64) bool { return in.lines+int64(in.taken/longestLine) < asked }

// result is what a read that reached the log's end found.
func (in *readBuffer) result(asked int64) result {
	in.log.End()
	r := result{whole: in.short(asked) && in.log.FromStart(), end: maphash.Bytes(endSeed, in.end[max(0, len(in.end)-endBytes):])}
	r.counts, r.counted = in.log.Counts()
	return r
}

var endSeed = maphash.MakeSeed()

// result is what was read out of a log.
type result struct {
	counts  stats.Counts
	counted bool
	whole   bool   // the read began at the log's first line
	end     uint64 // a hash of the log's last bytes
}

// open opens a log's last lines.
func (c *Collector) open(ctx context.Context, target Target, lines int64, follow bool) (io.ReadCloser, error) {
	return c.openWith(ctx, target, &corev1.PodLogOptions{Container: target.Container, Follow: follow, TailLines: &lines})
}

func (c *Collector) openWith(ctx context.Context, target Target, options *corev1.PodLogOptions) (io.ReadCloser, error) {
	log, err := logs.Open(ctx, func(ctx context.Context, options *corev1.PodLogOptions) (io.ReadCloser, error) {
		return c.source.Open(ctx, target, options)
	}, options, 0)
	if err != nil {
		return nil, err
	}
	return log, nil
}

// tail reads the end of a log. If its lines are so long that they exceed what a read may take, it requests fewer of them, from
// then on. ctx bounds its time. Counts may be returned with an error, too: they were found, but perhaps not at the end.
func (c *Collector) tail(ctx context.Context, p *pod, mode Mode) (found result, err error) {
	in := intakes.Get().(*readBuffer)
	defer intakes.Put(in)
	answered := false
	for more := true; more; {
		asked := c.linesOf(p)
		err = c.takeTail(ctx, p.target, in, asked, c.options.MaxBytes)
		answered = answered || in.brought()
		if err == nil {
			found = in.result(asked)
			if mode == Final {
				found = c.farther(ctx, p.target, in, found, asked)
			}
			break
		}
		more = errors.Is(err, errTooMuch) && c.askForFewer(p)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errHung
		if answered {
			err = errSlow
		}
	}
	if err != nil {
		found.counts, found.counted = in.log.Counts()
	}
	countRead(mode, found.counted, err)
	if err != nil {
		err = p.failed(err)
		c.notRead(mode, err)
	}
	return found, err
}

func (c *Collector) notRead(mode Mode, err error) {
	if !errors.Is(err, context.Canceled) {
		c.options.Log.V(1).Info("Log not read", "mode", mode.String(), "error", err.Error())
	}
}

// farther reads more of the log of a container that has ended, if its last lines are not enough: for the end of one or several
// crawls, in what precedes them; and for why a feed failed, in the first lines. The earlier result stays if that brings nothing
// better.
func (c *Collector) farther(ctx context.Context, target Target, in *readBuffer, found result, asked int64) result {
	short := in.short(asked)
	open := !found.counts.Final || found.counts.Crawls > 1
	lines := int64(manyLines)
	for tries := 0; !short && open && lines > asked && tries < 2; tries++ {
		err := c.takeTail(ctx, target, in, lines, manyTimes*c.options.MaxBytes)
		if err == nil {
			if more := in.result(lines); more.counts.Final || !found.counts.Final {
				found = more
			}
			break
		}
		c.notRead(Final, err)
		if !errors.Is(err, errTooMuch) {
			break
		}
		lines = min(in.lines*3/4, lines/2) // so many bytes had in.lines lines
	}
	counts := &found.counts
	reported := counts.FeedError != "" || ptr.Deref(counts.FeedFailures, 0) > 0
	if ptr.Deref(counts.Errors, 0) > 0 && !reported && !found.whole {
		found.counts.FeedError = c.feedError(ctx, target, in)
	}
	return found
}

// feedError returns what the first bytes of a log say about a feed that failed.
func (c *Collector) feedError(ctx context.Context, target Target, in *readBuffer) string {
	in.reset()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := int64(headBytes)
	body, err := c.openWith(ctx, target, &corev1.PodLogOptions{Container: target.Container, LimitBytes: &limit})
	if err == nil {
		defer body.Close()
		err = in.take(ctx, body, func(int) error {
			if in.taken >= headBytes {
				return io.EOF
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.notRead(Final, err)
	}
	counts, _ := in.log.Counts()
	return counts.FeedError
}

func (c *Collector) takeTail(ctx context.Context, target Target, in *readBuffer, lines int64, most int) error {
	in.reset()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := c.open(ctx, target, lines, false)
	if err != nil {
		return err
	}
	defer body.Close()
	return in.take(ctx, body, func(int) error {
		if in.taken >= most {
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

// askForFewer requests fewer of the Pod's lines from now on. It returns false if they are few already.
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
