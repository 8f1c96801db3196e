package guard

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// redacting forwards log records without the credentials that callers may have put into what is logged: a path, a request id,
// an error that quotes them.
type redacting struct{ slog.Handler }

// Handle implements slog.Handler.
func (r redacting) Handle(ctx context.Context, record slog.Record) error {
	clean := slog.NewRecord(record.Time, record.Level, auth.Redact(record.Message), record.PC)
	record.Attrs(func(attribute slog.Attr) bool {
		clean.AddAttrs(redacted(attribute))
		return true
	})
	return r.Handler.Handle(ctx, clean)
}

// WithAttrs implements slog.Handler.
func (r redacting) WithAttrs(attributes []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attributes))
	for i, attribute := range attributes {
		clean[i] = redacted(attribute)
	}
	return redacting{r.Handler.WithAttrs(clean)}
}

// WithGroup implements slog.Handler.
func (r redacting) WithGroup(name string) slog.Handler { return redacting{r.Handler.WithGroup(name)} }

func redacted(attribute slog.Attr) slog.Attr {
	switch value := attribute.Value.Resolve(); value.Kind() {
	case slog.KindString:
		attribute.Value = slog.StringValue(auth.Redact(value.String()))
	case slog.KindAny:
		attribute.Value = slog.StringValue(auth.Redact(fmt.Sprint(value.Any())))
	case slog.KindGroup:
		group := value.Group()
		clean := make([]slog.Attr, len(group))
		for i, member := range group {
			clean[i] = redacted(member)
		}
		attribute.Value = slog.GroupValue(clean...)
	default:
	}
	return attribute
}
