package sandbox

import (
	"strings"
)

// Position is the kind of place that a program's output goes to. It decides
// how values are escaped.
type Position int

// The positions; doc.go says what each does to a value.
const (
	Text Position = iota
	JSON
	URL
	Form
	XML
)

// output takes what a program prints, within a bound, and knows where in the
// text it stands.
type output struct {
	buf   []byte
	start int // where this program's output begins
	max   int
	at    Position

	inString, escaped bool // JSON: what has been written ends inside a string
	part              urlPart
}

type urlPart int

const (
	urlStart urlPart = iota // scheme
	urlSlash                // one slash seen
	urlHost
	urlPath
	urlQuery
)

// write appends what needs no escaping any more.
func (o *output) write(s string) error {
	if len(o.buf)-o.start+len(s) > o.max {
		return errorAt(place{}, "prints more than %d bytes", o.max)
	}
	o.buf = append(o.buf, s...)
	return nil
}

// static appends text that may lead to another place.
func (o *output) static(s string) error {
	switch o.at {
	case JSON:
		o.scanJSON(s)
	case URL:
		o.scanURL(s)
	}
	return o.write(s)
}

func (o *output) scanJSON(s string) {
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

func (o *output) scanURL(s string) {
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

// value appends a value of e, escaped for where it is printed.
func (o *output) value(r *Run, e expr, v any) error {
	if o.at == JSON && !o.inString {
		return o.jsonValue(r, e, v)
	}
	s, ok := printed(v)
	if !ok {
		return errorAt(e.at(), "%s is %s, which does not print: write |tojson, |join or |default", pathOf(e), kindOf(v))
	}
	enc, isEncoded := v.(encoded)
	if isEncoded && enc.as == asIs {
		return o.static(s)
	}
	if err := r.step(e.at(), 1+len(s)/64); err != nil {
		return err
	}
	switch o.at {
	case JSON:
		return o.write(escapeJSON(s))
	case URL:
		return o.urlValue(e, s, isEncoded && enc.as == asURL)
	case Form:
		if isEncoded && enc.as == asURL {
			return o.write(s)
		}
		return o.write(formEncode(s))
	case XML:
		if i := strings.IndexFunc(s, notXML); i >= 0 {
			return errorAt(e.at(), "%s holds a control character, which XML cannot carry", pathOf(e))
		}
		return o.write(xmlEscaper().Replace(s))
	}
	return o.write(s)
}

// jsonValue appends a whole JSON value.
func (o *output) jsonValue(r *Run, e expr, v any) error {
	switch v := v.(type) {
	case encoded:
		if v.as == asJSON || v.as == asIs {
			return o.static(v.text)
		}
	case string:
	default:
		s, err := r.toJSON(v, e.at())
		if err != nil {
			return err
		}
		return o.write(s)
	}
	return errorAt(e.at(), "%s is a text outside quotes: write |tojson", pathOf(e))
}

func (o *output) urlValue(e expr, s string, isEncoded bool) error {
	switch o.part {
	case urlStart:
		if len(o.buf) == o.start { // a base URL
			o.scanURL(s)
			return o.write(s)
		}
		return errorAt(e.at(), "%s stands in the scheme of the URL", pathOf(e))
	case urlSlash, urlHost:
		for i := range len(s) {
			if c := s[i]; !unreserved(c) && strings.IndexByte(":[]", c) < 0 {
				return errorAt(e.at(), "%s holds a character that is not allowed in a host", pathOf(e))
			}
		}
		return o.write(s)
	}
	if isEncoded {
		return o.write(s)
	}
	return o.write(percentEncode(s))
}

const hex = "0123456789abcdef"

// escapeJSON makes s the content of a JSON string.
func escapeJSON(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			if c < ' ' {
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			} else {
				b = append(b, c)
			}
		}
	}
	return string(b)
}

// unreserved characters need no encoding in any part of a URL (RFC 3986 §2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// percentEncode encodes all but unreserved characters (RFC 3986 §2.1), so that
// the result is fit for a path segment and for a query value alike.
func percentEncode(s string) string { return encodeBytes(s, false) }

// formEncode encodes as application/x-www-form-urlencoded: a space is a plus.
func formEncode(s string) string { return encodeBytes(s, true) }

func encodeBytes(s string, plus bool) string {
	const upperHex = "0123456789ABCDEF"
	n := 0
	for i := range len(s) {
		if !unreserved(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		switch c := s[i]; {
		case unreserved(c):
			b = append(b, c)
		case c == ' ' && plus:
			b = append(b, '+')
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// notXML reports characters that XML 1.0 cannot carry (§2.2).
func notXML(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == '\uFFFE' || c == '\uFFFF'
}
