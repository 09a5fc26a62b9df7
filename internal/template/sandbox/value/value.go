package value

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"callfleet/internal/template/sandbox/number"
)

// A value is nil, a bool, a string, or one of the types below. A tree of values
// belongs to one goroutine.

// Number is a number as it prints: see number.Written.
type Number string

// List is an array. List and Object know the JSON they came from, and take it
// apart when somebody looks inside.
type List struct {
	raw   string   // "" for a list that the template made
	Items []any    // after Budget.Open
	View  string   // what Python calls it when it is no list
	Tuple bool     // made by the template, and printed with ()
	Range string   // what Python prints for a range
	Names []string // of the items, if they have any
	split bool
}

// plain reports a list, and no other thing that Python goes over.
func (l *List) plain() bool { return l.View == "" && l.Range == "" }

// Object is an object, its members in their order.
type Object struct {
	raw     string   // "" for an object that the template made
	Members []Member // after Budget.Open
	split   bool
}

// Member is one name and its value.
type Member struct {
	Key   string
	Value any
}

// Undefined is a name that is not there; it may be asked about, not used.
type Undefined struct {
	Path, Reason string
	Soft         bool // used as "": an if without else
	// Python has a method of this name, so that Jinja2 takes it for defined.
	Python bool
}

// Encoded is text that a filter has made fit for a place.
type Encoded struct {
	Text string
	As   Encoding
}

// Encoding is the place an Encoded is fit for.
type Encoding int

// The encodings.
const (
	AsIs Encoding = iota // |safe: fit for everywhere
	AsJSON
	AsURL     // percent-encoded; a path takes its slashes as part of a segment
	AsURLSafe // AsURL and |safe: a path does the same
	AsPairs   // name=value pairs, joined by &
	AsXML     // escaped for HTML and XML
)

// Params are the names a template may use.
type Params struct{ Root *Object }

var errNotObject = errors.New("must be a JSON object")

// ParseParams reads a JSON object; nothing and null are the empty one. The
// params may be used by one goroutine at a time.
func ParseParams(data json.RawMessage) (Params, error) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || string(data) == "null" {
		return Params{Root: &Object{raw: "{}", split: true}}, nil
	}
	if data[0] != '{' {
		return Params{}, errNotObject
	}
	if !json.Valid(data) {
		return Params{}, errors.New("is not JSON")
	}
	o := &Object{raw: string(data), Members: make([]Member, 0, 8)}
	return Params{Root: o}, o.open()
}

// The readers below walk text that json.Valid has accepted, whose depth it has
// bounded.

func (o *Object) open() error {
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
		o.Members = append(o.Members, Member{key, v})
		if s.next() == ',' {
			s.i++
		}
	}
	o.Members = distinct(o.Members)
	return nil
}

// distinct keeps one of equal names: the last value, where the first one stood,
// as Python does.
func distinct(list []Member) []Member {
	const few = 16
	if len(list) <= few && !repeats(list) {
		return list
	}
	at := make(map[string]int, len(list))
	kept := list[:0]
	for _, m := range list {
		if i, twice := at[m.Key]; twice {
			kept[i].Value = m.Value
			continue
		}
		at[m.Key] = len(kept)
		kept = append(kept, m)
	}
	return kept
}

func repeats(list []Member) bool {
	for i := range list {
		for k := range i {
			if list[i].Key == list[k].Key {
				return true
			}
		}
	}
	return false
}

// Get finds a member; the last of equal names counts, as in encoding/json.
func (o *Object) Get(key string) (any, bool) {
	for i := len(o.Members) - 1; i >= 0; i-- {
		if o.Members[i].Key == key {
			return o.Members[i].Value, true
		}
	}
	return nil, false
}

func (l *List) open() error {
	if l.split || l.raw == "" { // taken apart, or made by the template
		return nil
	}
	l.split = true
	s := scanner{text: l.raw, i: 1}
	for s.next() != ']' {
		v, err := s.value()
		if err != nil {
			return err
		}
		l.Items = append(l.Items, v)
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
			return &Object{raw: s.text[start:s.i]}, nil
		}
		return &List{raw: s.text[start:s.i]}, nil
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
	if s.i-start > number.MaxDigits {
		return nil, fmt.Errorf("holds a number of more than %d digits", number.MaxDigits)
	}
	text, err := number.Written(s.text[start:s.i])
	return Number(text), err
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

// KindOf names what a value is, for messages.
func KindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string, Encoded:
		return "a text"
	case Number:
		return "a number"
	case *List:
		return "a list"
	case Undefined:
		return "missing"
	case Callable:
		return "a function"
	}
	return "an object"
}

// Printed is the text of a scalar; ok is false for what does not print.
func Printed(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case Number:
		return string(v), true
	case Encoded:
		return v.Text, true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	}
	return "", false
}

// Truth is Jinja2's idea of it: zero, empty and null are false.
func Truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case Encoded:
		return v.Text != ""
	case Number:
		return !number.IsZero(string(v))
	case *List:
		return len(v.Items) > 0 || v.raw != "" && !v.split && strings.TrimSpace(v.raw[1:len(v.raw)-1]) != ""
	case *Object:
		return len(v.Members) > 0 || v.raw != "" && !v.split && strings.TrimSpace(v.raw[1:len(v.raw)-1]) != ""
	}
	return true
}
