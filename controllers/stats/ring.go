package stats

// Ring is an io.Writer that keeps the last bytes written to it. It takes memory as it fills, up to its size.
type Ring struct {
	kept []byte
	size int
	next int // where the next byte goes once kept is full, which is also where the oldest is
}

// NewRing returns a Ring that keeps the last size bytes.
func NewRing(size int) *Ring {
	return &Ring{size: size}
}

// Write keeps the end of p. It never fails.
func (r *Ring) Write(p []byte) (int, error) {
	written := len(p)
	if len(p) > r.size {
		p = p[len(p)-r.size:]
	}
	fill := min(len(p), r.size-len(r.kept))
	r.kept = append(r.kept, p[:fill]...)
	for p = p[fill:]; len(p) > 0; {
		n := copy(r.kept[r.next:], p)
		r.next = (r.next + n) % r.size
		p = p[n:]
	}
	return written, nil
}

// Bytes returns a copy of what is kept, oldest byte first.
func (r *Ring) Bytes() []byte {
	bytes := make([]byte, 0, len(r.kept))
	return append(append(bytes, r.kept[r.next:]...), r.kept[:r.next]...)
}

// Reset forgets what was written and keeps the memory.
func (r *Ring) Reset() {
	r.kept, r.next = r.kept[:0], 0
}
