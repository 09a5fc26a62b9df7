package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Values are: nil, bool, string, number, *list, *object, encoded, *loop and
// undefined. A tree of values belongs to one Run.

// number is a number as it was written.
type number string

// list and object know the JSON they came from, and take it apart when
// somebody looks inside.
type list struct {
	raw   string // "" for a list that the template made
	items []any
	split bool
}

type object struct {
	raw     string
	members []member
	split   bool
}

type member struct {
	key   string
	value any
}

// undefined is a name that is not there; it may be asked about, not used.
type undefined struct{ path, reason string }

// encoded is text that a filter has made fit for a place.
type encoded struct {
	text string
	as   encoding
}

type encoding int

const (
	asIs encoding = iota // |safe: fit for everywhere
	asJSON
	asURL
)

// Params are the names a template may use.
type Params struct{ root *object }

// errParams is what can be wrong with params.
var errNotObject = errors.New("must be a JSON object")

// ParseParams reads a JSON object; nothing and null are the empty one. The
// params may be used by one Run at a time.
func ParseParams(data json.RawMessage) (Params, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || string(data) == "null" {
		return Params{root: &object{raw: "{}", split: true}}, nil
	}
	if data[0] != '{' {
		return Params{}, errNotObject
	}
	if !json.Valid(data) {
		return Params{}, errors.New("is not JSON")
	}
	o := &object{raw: string(data), members: make([]member, 0, 8)}
	return Params{root: o}, o.open()
}

// The readers below walk text that json.Valid has accepted, whose depth it has
// bounded.

func (o *object) open() error {
	if o.split {
		return nil
	}
	o.split = true
	s := scanner{text: o.raw, i: 1}
	for s.next() != '}' {
		key, err := s.string()
		if err != nil {
			return err
		}
		s.next()
		s.i++ // colon
		v, err := s.value()
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		o.members = append(o.members, member{key, v})
		if s.next() == ',' {
			s.i++
		}
	}
	return nil
}

// get finds a member; the last of equal names counts, as in encoding/json.
func (o *object) get(key string) (any, bool) {
	for i := len(o.members) - 1; i >= 0; i-- {
		if o.members[i].key == key {
			return o.members[i].value, true
		}
	}
	return nil, false
}

func (l *list) open() error {
	if l.split || l.raw == "" {
		return nil
	}
	l.split = true
	s := scanner{text: l.raw, i: 1}
	for s.next() != ']' {
		v, err := s.value()
		if err != nil {
			return err
		}
		l.items = append(l.items, v)
		if s.next() == ',' {
			s.i++
		}
	}
	return nil
}

type scanner struct {
	text string
	i    int
}

// next skips space and returns the byte there, without taking it.
func (s *scanner) next() byte {
	for {
		switch c := s.text[s.i]; c {
		case ' ', '\n', '\t', '\r':
			s.i++
		default:
			return c
		}
	}
}

func (s *scanner) value() (any, error) {
	c := s.next()
	start := s.i
	switch c {
	case '"':
		return s.string()
	case '{', '[':
		s.skipNested()
		if c == '{' {
			return &object{raw: s.text[start:s.i]}, nil
		}
		return &list{raw: s.text[start:s.i]}, nil
	case 't':
		s.i += len("true")
		return true, nil
	case 'f':
		s.i += len("false")
		return false, nil
	case 'n':
		s.i += len("null")
		return nil, nil
	}
	for s.i < len(s.text) && strings.IndexByte(",]} \n\t\r", s.text[s.i]) < 0 {
		s.i++
	}
	return number(s.text[start:s.i]), nil
}

func (s *scanner) string() (string, error) {
	start := s.i
	plain := true
	for s.i++; s.text[s.i] != '"'; s.i++ {
		switch c := s.text[s.i]; {
		case c == '\\':
			s.i++
			plain = false
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	s.i++
	raw := s.text[start:s.i]
	if plain {
		return raw[1 : len(raw)-1], nil
	}
	var text string
	if err := json.Unmarshal([]byte(raw), &text); err != nil {
		return "", err
	}
	if !utf8.ValidString(raw) || replaced(text) > replaced(raw)+strings.Count(strings.ToLower(raw), `\ufffd`) {
		return "", errors.New("holds text that is no Unicode")
	}
	return text, nil
}

// replaced counts the characters that stand for what could not be decoded.
func replaced(s string) int { return strings.Count(s, "\uFFFD") }

func (s *scanner) skipNested() {
	for depth := 0; ; {
		switch s.text[s.i] {
		case '"':
			for s.i++; s.text[s.i] != '"'; s.i++ {
				if s.text[s.i] == '\\' {
					s.i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.i++; depth == 0 {
			return
		}
	}
}

// kindOf names what a value is, for messages.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string, encoded:
		return "a text"
	case number:
		return "a number"
	case *list:
		return "a list"
	}
	return "an object"
}

// printed is the text of a scalar; ok is false for what does not print.
func printed(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case number:
		return string(v), true
	case encoded:
		return v.text, true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	}
	return "", false
}

// truth is Jinja2's idea of it: zero, empty and null are false.
func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case encoded:
		return v.text != ""
	case number:
		f, err := strconv.ParseFloat(string(v), 64)
		return err != nil || f != 0
	case *list:
		return len(v.items) > 0 || v.raw != "" && !v.split && strings.TrimSpace(v.raw[1:len(v.raw)-1]) != ""
	case *object:
		return len(v.members) > 0 || !v.split && strings.TrimSpace(v.raw[1:len(v.raw)-1]) != ""
	}
	return true
}
