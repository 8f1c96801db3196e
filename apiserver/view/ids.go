package view

import (
	"encoding/hex"

	"github.com/google/uuid"
)

// ids finds the objects of a namespace by id. Most are named by their id, and are found by name; this holds the others. If
// somebody names an object by the id of another, the one with the name is found, as long as it exists.
type ids[T object] map[uuid.UUID]T

func (i ids[T]) add(id uuid.UUID, o T) {
	if !namedBy(o, id) {
		i[id] = o
	}
}

func (i ids[T]) remove(id uuid.UUID, o T) {
	if !namedBy(o, id) {
		delete(i, id)
	}
}

// get returns the object with this id, or the zero value. names are the objects of the namespace.
func (i ids[T]) get(id uuid.UUID, names map[string]T) T {
	text := textOf(id)
	if o, found := names[string(text[:])]; found {
		return o
	}
	return i[id]
}

func namedBy[T object](o T, id uuid.UUID) bool {
	text := textOf(id)
	return o.ref().name == string(text[:])
}

// textOf returns the canonical form of an id without allocating memory for it.
func textOf(id uuid.UUID) (text [36]byte) {
	hex.Encode(text[0:8], id[0:4])
	text[8] = '-'
	hex.Encode(text[9:13], id[4:6])
	text[13] = '-'
	hex.Encode(text[14:18], id[6:8])
	text[18] = '-'
	hex.Encode(text[19:23], id[8:10])
	text[23] = '-'
	hex.Encode(text[24:36], id[10:16])
	return text
}
