package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/scrapethis/spider-operator/apiserver/auth"
)

func TestRedactionKeepsTheShapeOfARecord(t *testing.T) {
	var log bytes.Buffer
	key := auth.NewKey()
	logger := slog.New(redacting{slog.NewJSONHandler(&log, nil)})
	logger.With("a", key.Reveal()).WithGroup("g").Info("m "+key.Reveal(),
		"error", errors.New(key.Reveal()), "n", 7, slog.Group("h", "d", time.Second, "s", key.Reveal()))
	var got map[string]any
	if err := json.Unmarshal(log.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	shown := key.String()
	want := map[string]any{
		"level": "INFO", "msg": "m " + shown, "a": shown,
		"g": map[string]any{"error": shown, "n": 7.0, "h": map[string]any{"d": 1e9, "s": shown}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}
