// Package escape makes text fit for the places it is printed in.
package escape

import (
	"strings"
	"sync"
)

const hex = "0123456789abcdef"

// JSON makes s the content of a JSON string.
func JSON(s string) string {
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

// Unreserved characters need no encoding in any part of a URL (RFC 3986 §2.3).
func Unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// Percent encodes all but Unreserved characters (RFC 3986 §2.1), so that
// the result is fit for a path segment and for a query value alike.
func Percent(s string) string { return encodeBytes(s, none, "%20") }

// Form encodes as application/x-www-form-urlencoded: a space is a plus.
func Form(s string) string { return encodeBytes(s, none, "+") }

// Quote is Percent but for slashes, which stay.
func Quote(s string) string { return encodeBytes(s, '/', "%20") }

// Segment makes what Quote or Form have made part of one path segment.
func Segment(encoded string) string {
	if strings.IndexByte(encoded, '/') < 0 && strings.IndexByte(encoded, '+') < 0 {
		return encoded
	}
	return strings.ReplaceAll(strings.ReplaceAll(encoded, "/", "%2F"), "+", "%20")
}

// none is a byte that is unreserved anyway.
const none = '-'

func encodeBytes(s string, kept byte, space string) string {
	const upperHex = "0123456789ABCDEF"
	n := 0
	for i := range len(s) {
		if !Unreserved(s[i]) && s[i] != kept {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		switch c := s[i]; {
		case Unreserved(c) || c == kept:
			b = append(b, c)
		case c == ' ':
			b = append(b, space...)
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

// NotXML reports characters that XML 1.0 cannot carry (§2.2).
func NotXML(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == '\uFFFE' || c == '\uFFFF'
}

// XML replaces the five characters that have predefined entities (XML 1.0
// §4.6), so that the result is fit for content and for attributes.
func XML(s string) string { return entities().Replace(s) }

var entities = sync.OnceValue(func() *strings.Replacer {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&apos;")
})
