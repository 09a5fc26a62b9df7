package auth

import (
	"bytes"
	"io"
)

// ScrubReader is Scrub for a body that is too large to hold: what is read from
// it holds no secret of the attempt.
func (g *Grant) ScrubReader(r io.Reader) io.Reader {
	needles := g.needles()
	if len(needles) == 0 {
		return r
	}
	return &scrubber{from: r, needles: needles, longest: len(needles[0])}
}

// scrubChunk is how much is looked through at a time.
const scrubChunk = 64 << 10

// scrubber holds back as much as may be the beginning of a secret.
type scrubber struct {
	from    io.Reader
	needles []string // the longest first
	longest int
	raw     []byte // read, not yet looked through
	clean   []byte // to be given out
	err     error  // of from
}

// Read implements io.Reader.
func (s *scrubber) Read(p []byte) (int, error) {
	for len(s.clean) == 0 {
		if s.err != nil && len(s.raw) == 0 {
			return 0, s.err
		}
		s.fill()
		s.look()
	}
	n := copy(p, s.clean)
	s.clean = s.clean[n:]
	return n, nil
}

func (s *scrubber) fill() {
	if s.err != nil {
		return
	}
	at := len(s.raw)
	s.raw = append(s.raw, make([]byte, scrubChunk)...)
	n, err := s.from.Read(s.raw[at:])
	s.raw, s.err = s.raw[:at+n], err
}

// look moves what is certain from raw to clean. A secret that begins before
// the edge is in raw with all of it.
func (s *scrubber) look() {
	edge := len(s.raw)
	if s.err == nil {
		edge = max(0, len(s.raw)-s.longest+1)
	}
	s.clean = s.clean[:0]
	done := 0
	for done < edge {
		at, length := s.next(done, edge)
		s.clean = append(s.clean, s.raw[done:at]...)
		if done = at; length > 0 {
			s.clean = append(s.clean, scrubbed...)
			done += length
		}
	}
	s.raw = append(s.raw[:0], s.raw[done:]...)
}

// next is where the first secret from done on begins, and how long it is; the
// edge when none begins before it.
func (s *scrubber) next(done, edge int) (at, length int) {
	at = edge
	for _, needle := range s.needles {
		within := s.raw[done:min(len(s.raw), at+len(needle))]
		if i := bytes.Index(within, []byte(needle)); i >= 0 && done+i < at {
			at, length = done+i, len(needle)
		}
	}
	return at, length
}
