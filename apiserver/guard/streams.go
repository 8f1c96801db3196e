package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/auth"
	"github.com/scrapethis/spider-operator/apiserver/exchange"
	"github.com/scrapethis/spider-operator/apiserver/failure"
)

// streams bounds what callers keep intentionally open: waits, followed logs and events. There is a bound for each caller, and
// one for all together, which their namespaces share.
type streams struct {
	perCaller int
	shared    *shares

	mu       sync.Mutex
	byCaller map[string]int
}

func newStreams(perCaller, most int) *streams {
	return &streams{perCaller: perCaller, shared: newShares(most), byCaller: map[string]int{}}
}

// retryStreams is after how long to try again if a caller has too much open. The caller itself decides when that ends.
const retryStreams = 5 * time.Second

// open counts one more of a caller, until release is called. It is refused if that exceeds a bound. lost is called when it has
// to make room for another namespace; it must not block.
func (s *streams) open(caller auth.Identity, lost func()) (release func(), err error) {
	principal := caller.Principal()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byCaller[principal] >= s.perCaller {
		return nil, failure.TooMany("too_many_streams",
			fmt.Sprintf("You already have %d waits, logs and event streams open, which is your limit.", s.perCaller), retryStreams)
	}
	leave, ok := s.shared.enter(caller.Namespace, lost)
	if !ok {
		return nil, failure.TooMany(
			"too_many_streams",
			"The server has as many waits, logs and event streams open as it can, and no namespace has more of them than yours.",
			retryStreams,
		)
	}
	s.byCaller[principal]++
	return func() {
		leave()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.byCaller[principal]--; s.byCaller[principal] == 0 {
			delete(s.byCaller, principal)
		}
	}, nil
}

// enter lets a request last until leave is called. ending ends earlier if the server stops, or if the request has to make room
// for another namespace: the request then has to be answered.
func (g *Guard) enter(ctx context.Context) (ending context.Context, leave func(), err error) {
	ending, end := context.WithCancel(g.stopping)
	release, err := g.streams.open(exchange.Of(ctx).Caller, end)
	if err != nil {
		g.metrics.refused("streams")
		end()
		return nil, nil, err
	}
	over := g.connections.lasts(ctx)
	return ending, func() {
		over()
		release()
		end()
	}, nil
}

// Stream is an answer that lasts as long as its caller and the server want. Each write has the time of an ordinary answer; the
// time between two writes is not bounded.
type Stream struct {
	writer     http.ResponseWriter
	connection *http.ResponseController
	// ctx ends when the caller has gone or for one of the reasons below, which is then its cause.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// alone says that no other request shares the connection, as they do with HTTP/2; conn is that connection if it is known.
	alone bool
	conn  net.Conn
	// review returns an error if the caller may no longer be answered.
	review func(context.Context) error
	// writeTime is how long one write may take.
	writeTime time.Duration

	mu sync.Mutex
	// checked is when the caller was last reviewed, and written when something was last written.
	checked, written time.Time
}

const (
	// CheckInterval is how old the last review of a stream's caller may be when something is written to it, and reviewInterval
	// when nothing is.
	CheckInterval  = time.Second
	reviewInterval = 3 * time.Second
	// heartbeatInterval is how often something is sent on a silent stream, so that either side notices when the other has gone,
	// and proxies between them do not close the stream.
	heartbeatInterval = 15 * time.Second
)

// Why a stream ends although its caller has not left.
var (
	// ErrCallerRefused means that the caller of a stream may no longer be answered.
	ErrCallerRefused = errors.New("the caller of an open stream is not accepted any more")
	// ErrStopping means that the server stops.
	ErrStopping error = failure.Unavailable(nil, "The server is stopping.")
	// ErrCrowdedOut means that a stream has to make room for another namespace.
	ErrCrowdedOut error = failure.TooMany(
		"too_many_streams",
		"The server has as many waits, logs and event streams open as it can, and another namespace has fewer of them than yours.",
		retryStreams,
	)
)

// OpenWait lets a request wait, until release is called; it is refused if too many do. ending ends when the request has to be
// answered early: when the server stops, or another namespace, which has fewer waits, needs the room.
func (g *Guard) OpenWait(ctx context.Context) (ending context.Context, release func(), err error) {
	return g.enter(ctx)
}

// NewStream prepares a request for an answer that lasts. Call closeStream in the end.
func (g *Guard) NewStream(c *gin.Context) (s *Stream, closeStream func(), err error) {
	ending, leave, err := g.enter(c.Request.Context())
	if err != nil {
		return nil, nil, err
	}
	lasting, cancel := context.WithCancel(c.Request.Context())
	s = StreamTo(lasting, c.Writer, g.timeouts.Write, g.Reviewer(c))
	forget := context.AfterFunc(ending, func() { s.cancel(g.whyEnding()) })
	s.alone = c.Request.ProtoMajor == 1
	s.conn, _ = c.Request.Context().Value(connectionKey{}).(net.Conn)
	_ = s.connection.SetWriteDeadline(time.Time{})
	return s, func() {
		forget()
		cancel()
		leave()
	}, nil
}

// whyEnding returns why a request has to end early.
func (g *Guard) whyEnding() error {
	if g.stopping.Err() != nil {
		return ErrStopping
	}
	return ErrCrowdedOut
}

// StreamTo returns a stream to a writer that lasts as long as ctx. One write may take writeTime; review returns an error if the
// caller may no longer be answered.
func StreamTo(
	ctx context.Context, w http.ResponseWriter, writeTime time.Duration, review func(context.Context) error,
) *Stream {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Stream{
		writer: w, connection: http.NewResponseController(w), ctx: ctx, cancel: cancel, review: review, writeTime: writeTime,
		checked: time.Now(), written: time.Now(),
	}
}

// Reviewer returns a function that checks whether a lasting request may still be answered: as long as its token identifies the
// same caller, with the right to make this call. If that cannot be decided, it may.
func (g *Guard) Reviewer(c *gin.Context) func(context.Context) error {
	caller, route := exchange.Of(c).Caller, exchange.Of(c).Route
	token, _ := bearer(c.GetHeader("Authorization"))
	return func(ctx context.Context) error {
		now, err := g.authenticator.Authenticate(ctx, token)
		switch {
		case errors.Is(err, auth.ErrUnauthenticated):
			return unauthorized(err)
		case err != nil:
			return nil //nolint:nilerr // Not known to be refused.
		case now.Namespace != caller.Namespace || now.UserID != caller.UserID:
			return unauthorized(nil)
		}
		if allowed, err := g.mayCall(ctx, now, route); err == nil && !allowed {
			return denied(now, g.accesses[route])
		}
		return nil
	}
}

// Context ends when the caller has gone. If it ends for another reason, its cause is ErrCallerRefused, ErrStopping or
// ErrCrowdedOut.
func (s *Stream) Context() context.Context { return s.ctx }

// Begin sends the head of the answer. If the answer lasts until one side ends it, its connection ends with it: the next request
// must not use a connection that a stopping server is closing.
func (s *Stream) Begin(requestID, contentType string, lasting bool) {
	header := s.writer.Header()
	if lasting && s.alone {
		header.Set("Connection", "close")
		s.awaitClose()
	}
	header.Set("Content-Type", contentType)
	header.Set("X-Request-ID", requestID)
	header.Set("X-Accel-Buffering", "no") // A proxy that buffers a stream withholds it from its reader.
	s.writer.WriteHeader(http.StatusOK)
}

// awaitClose ends the stream when the caller closes its connection, whatever it has sent before. net/http notices that, too,
// but only as long as nothing else arrives: at the first byte of another request it waits for this one to be answered. No
// further request is answered: the connection ends with the stream, so everything that arrives is discarded. Reads end at the
// latest with the connection.
func (s *Stream) awaitClose() {
	if s.conn == nil {
		return
	}
	go func() {
		ignored := io.LimitReader(s.conn, maxIgnoredBody)
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, ignored, make([]byte, 512))
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return // net/http stops reading, since the answer has ended.
		}
		s.cancel(context.Canceled)
	}()
}

// KeepAlive maintains a stream to which nothing is written for a while, until stop is called, which has to happen before the
// answer ends: it reviews the caller, and writes the heartbeat, if there is one, as often as it is due. On a stream with a
// heartbeat, write in one piece whatever must not be torn apart.
func (s *Stream) KeepAlive(heartbeat []byte) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(reviewInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			if err := s.tick(heartbeat); err != nil {
				s.cancel(err)
				return
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func (s *Stream) tick(heartbeat []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return err
	}
	if heartbeat == nil || time.Since(s.written)+reviewInterval <= heartbeatInterval {
		return nil // The next check is early enough.
	}
	if err := s.write(heartbeat); err != nil {
		return err
	}
	return s.flush()
}

// check returns an error if the caller may no longer be answered.
func (s *Stream) check() error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if time.Since(s.checked) < CheckInterval {
		return nil
	}
	s.checked = time.Now()
	if err := s.review(s.ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrCallerRefused, err)
	}
	return nil
}

// Write implements io.Writer.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(); err != nil {
		return 0, err
	}
	if err := s.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *Stream) write(p []byte) error {
	s.written = time.Now()
	_ = s.connection.SetWriteDeadline(s.written.Add(s.writeTime))
	_, err := s.writer.Write(p)
	return err
}

// Last writes the end of the stream. Whether it arrives no longer matters.
func (s *Stream) Last(p []byte) {
	_ = s.connection.SetWriteDeadline(time.Now().Add(lastWriteTime)) // Also for a heartbeat being written.
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.connection.SetWriteDeadline(time.Now().Add(lastWriteTime))
	_, _ = s.writer.Write(p)
	_ = s.connection.Flush()
}

// lastWriteTime bounds how long a caller that does not read may delay the end of its stream, and with it that of the server.
const lastWriteTime = 2 * time.Second

// Flush flushes what was written, and ends the time for it.
func (s *Stream) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush()
}

func (s *Stream) flush() error {
	err := s.connection.Flush()
	_ = s.connection.SetWriteDeadline(time.Time{})
	return err
}
