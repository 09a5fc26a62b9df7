package value

import (
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// view returns b as a string without copying. It is sound because the text of a
// Value is never changed, which Parse and Raw ask of their callers.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// tight returns text without the space around it.
func tight(text []byte) []byte {
	for len(text) > 0 && isSpace(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

const hexDigits = "0123456789ABCDEF"

// AppendQuoted appends s as a JSON string, escaping only what must be, as
// Jackson does: AWS shows such texts to users inside other strings.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(append(dst, s[start:i]...), "\uFFFD"...)
			i++
			start = i
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, c)
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
}

// unquote returns the content of a valid JSON string, a view of it if it has no
// escapes. It reports false for what is not a string; half of a surrogate pair
// becomes U+FFFD.
func unquote(text []byte) (string, bool) {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return "", false
	}
	text = text[1 : len(text)-1]
	i := 0
	for i < len(text) && text[i] != '\\' {
		i++
	}
	if i == len(text) {
		return view(text), true
	}
	out := make([]byte, i, len(text))
	copy(out, text)
	for i < len(text) {
		if text[i] != '\\' || i+1 >= len(text) {
			out = append(out, text[i])
			i++
			continue
		}
		if text[i+1] == 'u' {
			var r rune
			r, i = unescapeRune(text, i)
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, unescape(text[i+1]))
		i += 2
	}
	return view(out), true
}

func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return c
	}
}

// unescapeRune reads \uXXXX at i, or a pair of them, and returns the position after it.
func unescapeRune(text []byte, i int) (rune, int) {
	r := hex4(text, i+2)
	i = min(i+6, len(text))
	if utf16.IsSurrogate(r) {
		if i+6 <= len(text) && text[i] == '\\' && text[i+1] == 'u' {
			if both := utf16.DecodeRune(r, hex4(text, i+2)); both != utf8.RuneError {
				return both, i + 6
			}
		}
		return utf8.RuneError, i
	}
	return r, i
}

// hex4 reads four hexadecimal digits at i, or returns U+FFFD.
func hex4(text []byte, i int) rune {
	if i+4 > len(text) {
		return utf8.RuneError
	}
	var r rune
	for _, c := range text[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return utf8.RuneError
		}
	}
	return r
}
