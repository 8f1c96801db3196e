package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// streams counts what each caller keeps open on purpose: waits, followed logs and events.
type streams struct {
	most int

	mu       sync.Mutex
	byCaller map[string]int
}

func newStreams(most int) *streams { return &streams{most: most, byCaller: map[string]int{}} }

// retryStreams is after how long to try again when a caller has too much open. What ends it is up to the caller.
const retryStreams = 5 * time.Second

// open counts one more of a caller's, until release is called. It is refused when that were too many.
func (s *streams) open(caller auth.Identity) (release func(), err error) {
	principal := caller.Principal()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byCaller[principal] >= s.most {
		return nil, &problem{
			status:     http.StatusTooManyRequests,
			code:       "too_many_streams",
			message:    fmt.Sprintf("You have %d waits, logs and event streams open already, which is as many as you may.", s.most),
			retryAfter: retryStreams,
		}
	}
	s.byCaller[principal]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.byCaller[principal]--; s.byCaller[principal] == 0 {
			delete(s.byCaller, principal)
		}
	}, nil
}

// stream is an answer that lasts for as long as its caller and the server want. What is written to it has the time that any
// answer has, but between two writes there is none.
type stream struct {
	writer     http.ResponseWriter
	connection *http.ResponseController
	// ctx ends when the caller has gone or the server stops.
	ctx     context.Context
	allowed func(context.Context) bool
	checked time.Time
	// writeTime is how long one write may take.
	writeTime time.Duration
}

// checkInterval is how old the knowledge may be that a stream's key is still accepted, when something is written to it.
const checkInterval = time.Second

// errKeyRefused says that the key with which a stream was opened is not accepted any more.
var errKeyRefused = errors.New("the key of an open stream is not accepted any more")

// newStream prepares the request of a context for an answer that lasts. closeStream has to be called in the end.
func (h *handlers) newStream(ctx context.Context) (s *stream, closeStream func(), err error) {
	c, ok := ctx.(*gin.Context)
	if !ok {
		return nil, nil, internal(errors.New("a stream can be answered to HTTP requests only"))
	}
	release, err := h.streams.open(callerOf(ctx))
	if err != nil {
		return nil, nil, err
	}
	lasting, cancel := context.WithCancel(c.Request.Context())
	forget := context.AfterFunc(h.stopping, cancel) //nolint:contextcheck // The end of the server ends every stream.
	token, _ := bearer(c.GetHeader("Authorization"))
	s = &stream{
		writer: c.Writer, connection: http.NewResponseController(c.Writer),
		ctx: lasting, allowed: h.sameCaller(callerOf(ctx), token), checked: time.Now(), writeTime: h.writeTime,
	}
	_ = s.connection.SetWriteDeadline(time.Time{})
	return s, func() {
		forget()
		cancel()
		release()
	}, nil
}

// sameCaller returns what tells whether a token still makes the caller who it is. As long as that cannot be found out it is
// taken to.
func (h *handlers) sameCaller(caller auth.Identity, token string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		now, err := h.authenticator.Authenticate(ctx, token)
		if err != nil {
			return !errors.Is(err, auth.ErrUnauthenticated)
		}
		return now.Namespace == caller.Namespace && now.User == caller.User
	}
}

// begin sends the head of the answer.
func (s *stream) begin(requestID, contentType string) {
	header := s.writer.Header()
	header.Set("Content-Type", contentType)
	header.Set("X-Request-ID", requestID)
	header.Set("X-Accel-Buffering", "no") // A proxy that gathers a stream keeps it from its reader.
	s.writer.WriteHeader(http.StatusOK)
}

// check returns an error when the caller may not be told any more.
func (s *stream) check() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if time.Since(s.checked) < checkInterval {
		return nil
	}
	s.checked = time.Now()
	if !s.allowed(s.ctx) {
		return errKeyRefused
	}
	return nil
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	if err := s.check(); err != nil {
		return 0, err
	}
	_ = s.connection.SetWriteDeadline(time.Now().Add(s.writeTime))
	return s.writer.Write(p)
}

// last writes what is to be said when the stream is at its end. Whether it arrives does not matter any more.
func (s *stream) last(p []byte) {
	_ = s.connection.SetWriteDeadline(time.Now().Add(lastWriteTime))
	_, _ = s.writer.Write(p)
	_ = s.connection.Flush()
}

// lastWriteTime is how long whoever does not read may hold up the end of its stream, and with that of the server.
const lastWriteTime = 2 * time.Second

// flush hands on what was written, and ends the time for it.
func (s *stream) flush() error {
	err := s.connection.Flush()
	_ = s.connection.SetWriteDeadline(time.Time{})
	return err
}
