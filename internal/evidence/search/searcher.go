package search

import (
	"bytes"
	"encoding/binary"

	"callfleet/internal/evidence"
)

// shortest is the length from which a form is looked for.
const shortest = 8

// Searcher finds secrets in texts.
type Searcher struct {
	first [1 << 16]bool        // the first two bytes of each form
	forms map[uint64][]pattern // by their first eight
}

type pattern struct {
	form
	secret *evidence.Hidden
}

// Hit is a secret in a text.
type Hit struct {
	Secret *evidence.Hidden
	Form   string // "in base64"
	Line   int    // from 1
}

// New looks for secrets. A text that is a part of each of them, marker, is found
// by itself as well: a secret may have been cut.
func New(secrets []evidence.Hidden, marker string) *Searcher {
	s := &Searcher{forms: map[uint64][]pattern{}}
	for i := range secrets {
		for _, n := range needles(secrets[i].Value, marker) {
			s.add(&secrets[i], n)
		}
	}
	s.add(&evidence.Hidden{Name: "part of a secret", Value: marker}, marker)
	return s
}

func (s *Searcher) add(secret *evidence.Hidden, needle string) {
	for _, f := range forms(needle) {
		s.first[binary.LittleEndian.Uint16([]byte(f.text))] = true
		key := binary.LittleEndian.Uint64([]byte(f.text))
		s.forms[key] = append(s.forms[key], pattern{f, secret})
	}
}

// Find finds every secret in a text, the longest where several begin.
func (s *Searcher) Find(text []byte) []Hit {
	var hits []Hit
	line, counted := 1, 0
	for i := 0; i+shortest <= len(text); i++ {
		if !s.first[binary.LittleEndian.Uint16(text[i:])] {
			continue
		}
		best := -1
		list := s.forms[binary.LittleEndian.Uint64(text[i:])]
		for k, p := range list {
			if bytes.HasPrefix(text[i:], []byte(p.text)) && (best < 0 || len(p.text) > len(list[best].text)) {
				best = k
			}
		}
		if best < 0 {
			continue
		}
		line += bytes.Count(text[counted:i], []byte("\n"))
		counted = i
		hits = append(hits, Hit{list[best].secret, list[best].name, line})
		i += len(list[best].text) - 1
	}
	return hits
}
