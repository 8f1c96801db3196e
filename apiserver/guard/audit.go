package guard

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/scrapethis/spider-operator/apiserver/exchange"
)

// record writes the one log line of a request: "audit" for every attempt to change something through the REST API, allowed or
// not, and "request" for everything else. An audit line is written whatever the log's level.
func (g *Guard) record(c *gin.Context, e *exchange.Exchange, took time.Duration) {
	route, status := c.FullPath(), c.Writer.Status()
	attributes := []slog.Attr{
		slog.String("request_id", e.RequestID),
		slog.String("method", c.Request.Method),
		slog.String("route", route),
		slog.String("path", c.Request.URL.Path),
		slog.Int("status", status),
		slog.Float64("seconds", took.Seconds()),
		slog.String("address", c.ClientIP()),
	}
	attributes = append(attributes, who(e)...)
	if e.Failure != nil {
		attributes = append(attributes, slog.String("code", e.Failure.Code))
		if e.Failure.Cause != nil {
			attributes = append(attributes, slog.String("error", e.Failure.Cause.Error()))
		}
	}
	if isWrite(c.Request.Method) && strings.HasPrefix(route, "/api/") {
		attributes = append(attributes, slog.String("object", e.Object), slog.String("object_id", objectID(c, e)))
		g.audit(c, attributes)
		return
	}
	level := slog.LevelInfo
	switch {
	case isProbe(route):
		level = slog.LevelDebug
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	g.log.LogAttrs(c, level, "request", attributes...)
}

// audit bypasses the level, since the record of who did what must not depend on it.
func (g *Guard) audit(ctx context.Context, attributes []slog.Attr) {
	line := slog.NewRecord(g.now(), slog.LevelInfo, "audit", 0)
	line.AddAttrs(attributes...)
	// If the log cannot be written to, there is no other place to report that.
	_ = g.log.Handler().Handle(ctx, line)
}

// who names the caller; empty while the caller is unknown.
func who(e *exchange.Exchange) []slog.Attr {
	caller := e.Caller
	if caller.Principal() == "" {
		return nil
	}
	who := []slog.Attr{slog.String("namespace", caller.Namespace), slog.String("user", caller.User)}
	if caller.Account != nil {
		return append(who, slog.String("service_account", caller.Account.Name))
	}
	return append(who, slog.String("key_id", caller.KeyID), slog.String("key_name", caller.KeyName))
}

// objectID is the id that the caller named, or that of the object that was made.
func objectID(c *gin.Context, e *exchange.Exchange) string {
	if id := c.Param("id"); id != "" {
		return id
	}
	_, name, _ := strings.Cut(e.Object, "/")
	return name
}

func isWrite(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

func isProbe(route string) bool { return route == "/livez" || route == "/readyz" }
