package rest

import (
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/google/uuid"

	"github.com/scrapethis/spider-operator/apiserver/view"
)

// A cursor is the position of the last job shown: a version, the second of its creation and its id. It is not secret and needs
// no signature, since it can only point at the caller's own jobs.
const (
	cursorVersion = 1
	cursorLength  = 1 + 8 + 16
)

var errBadCursor = errors.New("not a cursor")

// cursorText accepts exactly one text for each cursor.
var cursorText = base64.RawURLEncoding.Strict()

func formatCursor(p view.Position) string {
	raw := make([]byte, 0, cursorLength)
	raw = append(raw, cursorVersion)
	raw = binary.BigEndian.AppendUint64(raw, uint64(p.Created)) //nolint:gosec // parseCursor turns it back
	raw = append(raw, p.ID[:]...)
	return cursorText.EncodeToString(raw)
}

func parseCursor(text string) (view.Position, error) {
	if len(text) != cursorText.EncodedLen(cursorLength) {
		return view.Position{}, errBadCursor
	}
	raw, err := cursorText.DecodeString(text)
	if err != nil || len(raw) != cursorLength || raw[0] != cursorVersion {
		return view.Position{}, errBadCursor
	}
	created := int64(binary.BigEndian.Uint64(raw[1:9])) //nolint:gosec // negative is refused below
	if created < 0 {
		return view.Position{}, errBadCursor
	}
	return view.Position{Created: created, ID: uuid.UUID(raw[9:])}, nil
}
