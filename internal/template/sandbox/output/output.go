// Package output takes what a template prints and escapes each value for the
// place it is printed in.
package output

import (
	"strings"

	"callfleet/internal/template/sandbox/escape"
	"callfleet/internal/template/sandbox/value"
)

// Position is the kind of place that a program's output goes to. It decides
// how values are escaped.
type Position int

// The positions; the comment of package sandbox says what each does to a value.
const (
	Text Position = iota
	JSON
	URL
	Form
	XML
)

// Output takes what a program prints, within a bound, and knows where in the
// text it stands.
type Output struct {
	Buf   []byte // with what was there before
	start int    // where this program's output begins
	max   int
	at    Position

	inString, escaped bool // JSON: what has been written ends inside a string
	part              urlPart
	// Python prints null, lists and objects as Python does, but in URLs.
	Python bool
}

type urlPart int8

const (
	urlStart urlPart = iota // scheme
	urlSlash                // one slash seen
	urlHost
	urlPath
	urlQuery
)

// New appends to buf at most max bytes.
func New(buf []byte, max int, at Position) Output {
	return Output{Buf: buf, start: len(buf), max: max, at: at}
}

// Nested takes text on the way to o: all that are open share one bound.
func (o *Output) Nested() Output {
	n := New(nil, max(1, o.max-(len(o.Buf)-o.start)), Text)
	n.Python = o.Python
	return n
}

// write appends what needs no escaping any more.
func (o *Output) write(s string) error {
	if len(o.Buf)-o.start+len(s) > o.max {
		return value.ErrorAt(value.Place{}, "prints more than %d bytes", o.max)
	}
	o.Buf = append(o.Buf, s...)
	return nil
}

// Static appends text that may lead to another place.
func (o *Output) Static(s string) error {
	switch o.at {
	case JSON:
		o.scanJSON(s)
	case URL:
		o.scanURL(s)
	}
	return o.write(s)
}

func (o *Output) scanJSON(s string) {
	for i := range len(s) {
		switch {
		case o.escaped:
			o.escaped = false
		case s[i] == '\\' && o.inString:
			o.escaped = true
		case s[i] == '"':
			o.inString = !o.inString
		}
	}
}

func (o *Output) scanURL(s string) {
	for i := range len(s) {
		switch c := s[i]; {
		case o.part == urlQuery:
			return
		case o.part == urlStart && c == '/':
			o.part = urlSlash
		case o.part == urlSlash && c == '/':
			o.part = urlHost
		case o.part == urlHost && c == '/':
			o.part = urlPath
		case c == '?' || c == '#':
			o.part = urlQuery
		}
	}
}

// Value appends a value, escaped for where it is printed.
func (o *Output) Value(g *value.Budget, v any, path string, at value.Place) error {
	if o.at == JSON && !o.inString {
		return o.jsonValue(g, v, path, at)
	}
	s, ok := value.Printed(v)
	if !ok && o.Python && o.at != URL {
		var err error
		if s, err = g.Str(v, at); err != nil {
			return err
		}
		ok = true
	}
	if !ok {
		return value.ErrorAt(at, "%s is %s, which does not print: write |tojson, %s", path, value.KindOf(v), wayOut(v))
	}
	enc, isEncoded := v.(value.Encoded)
	if isEncoded && o.at == URL && o.part == urlPath && (enc.As == value.AsURL || enc.As == value.AsURLSafe || enc.As == value.AsPairs) {
		enc.As, s = value.AsURL, escape.Segment(s) // no value leads to another path
	}
	if isEncoded && (enc.As == value.AsIs || enc.As == value.AsURLSafe) {
		return o.Static(s)
	}
	if err := g.Step(at, 1+len(s)/64); err != nil {
		return err
	}
	if isEncoded && enc.As == value.AsPairs && (o.at == URL || o.at == Form) {
		return o.pairs(s, path, at)
	}
	switch o.at {
	case JSON:
		if o.escaped { // the value's first byte would become part of an escape
			return value.ErrorAt(at, "%s stands behind a backslash", path)
		}
		return o.write(escape.JSON(s))
	case URL:
		return o.urlValue(s, isEncoded && enc.As == value.AsURL, path, at)
	case Form:
		if isEncoded && enc.As == value.AsURL {
			return o.write(s)
		}
		return o.write(escape.Form(s))
	case XML:
		if i := strings.IndexFunc(s, escape.NotXML); i >= 0 {
			return value.ErrorAt(at, "%s holds a control character, which XML cannot carry", path)
		}
		if isEncoded && enc.As == value.AsXML {
			return o.write(s)
		}
		return o.write(escape.XML(s))
	}
	return o.write(s)
}

func wayOut(v any) string {
	if v == nil {
		return "or |default_if_none for another value"
	}
	return "|join or a member"
}

// jsonValue appends a whole JSON value.
func (o *Output) jsonValue(g *value.Budget, v any, path string, at value.Place) error {
	switch v := v.(type) {
	case value.Encoded:
		switch v.As {
		case value.AsJSON: // whole, so that it leads nowhere else
			return o.write(v.Text)
		case value.AsIs, value.AsURLSafe:
			return o.Static(v.Text)
		}
	case string:
	default:
		s, err := g.ToJSON(v, at)
		if err != nil {
			return err
		}
		return o.write(s)
	}
	return value.ErrorAt(at, "%s is a text outside quotes: write |tojson", path)
}

// pairs appends an encoded object where a pair may begin. Behind a name it would
// give whoever chooses a param, and so its kind, further names.
func (o *Output) pairs(s, path string, at value.Place) error {
	begins := o.at == Form && len(o.Buf) == o.start
	if len(o.Buf) > o.start {
		switch last := o.Buf[len(o.Buf)-1]; {
		case o.at == Form:
			begins = last == '&'
		case o.part == urlQuery:
			begins = last == '?' || last == '&'
		}
	}
	if !begins {
		return value.ErrorAt(at, "%s is an object, whose name=value pairs stand only where a pair begins", path)
	}
	return o.write(s)
}

func (o *Output) urlValue(s string, isEncoded bool, path string, at value.Place) error {
	switch o.part {
	case urlStart:
		if len(o.Buf) == o.start { // a base URL
			o.scanURL(s)
			return o.write(s)
		}
		return value.ErrorAt(at, "%s stands in the scheme of the URL", path)
	case urlSlash, urlHost:
		for i := range len(s) {
			if c := s[i]; !escape.Unreserved(c) && strings.IndexByte(":[]", c) < 0 {
				return value.ErrorAt(at, "%s holds a character that is not allowed in a host", path)
			}
		}
		return o.write(s)
	}
	if s == "" && o.part == urlPath && o.Buf[len(o.Buf)-1] == '/' {
		// DELETE /users/{{ id }} must not become DELETE /users/.
		return value.ErrorAt(at, "%s is empty, which would lead to another path", path)
	}
	if isEncoded {
		return o.write(s)
	}
	return o.write(escape.Percent(s))
}
