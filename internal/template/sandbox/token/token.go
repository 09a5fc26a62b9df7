// Package token reads template text as tokens: in pongo2's spelling, with
// pongo2's own lexer, and in Jinja2's.
package token

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"callfleet/internal/template/sandbox/value"
)

// Kind is what a token is.
type Kind int

// The kinds.
const (
	Data    Kind = iota // text between tags
	Symbol              // operators, and the braces {{ }} {% %}
	Name                // also what only the parser knows to be a word of the language
	Keyword             // in, not, and, or, true, false
	Number
	String // its content
	Bad    // where the lexer gave up
)

// Token is one token and where it begins.
type Token struct {
	value.Place
	Kind Kind
	Val  string
	trim bool // a brace that takes the white space on its outer side away
}

// Readable refuses control characters, one of which pongo2's lexer takes for
// the end of the text, and which no template needs.
func Readable(source string) error {
	if !utf8.ValidString(source) {
		return value.ErrorAt(value.Place{}, "is not UTF-8")
	}
	p := value.Place{Line: 1, Column: 1}
	for i := range len(source) {
		switch c := source[i]; {
		case c == '\n':
			p = value.Place{Line: p.Line + 1}
		case c < ' ' && c != '\t' && c != '\r' || c == 0x7f:
			return value.ErrorAt(p, "holds a control character")
		}
		p.Column++
	}
	return nil
}

// Lines is the text as Jinja2 reads it, and so do both engines: line ends are
// \n, and one newline at the end is dropped.
func Lines(source string) string {
	if strings.IndexByte(source, '\r') >= 0 {
		source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source)
	}
	return strings.TrimSuffix(source, "\n")
}

// trimmed applies the braces' control of white space, and drops text that
// vanishes.
func trimmed(list []Token) []Token {
	out := list[:0]
	for i, t := range list {
		if t.Kind == Data {
			if i > 0 && list[i-1].trim && closes(list[i-1]) {
				t.Val = strings.TrimLeftFunc(t.Val, unicode.IsSpace)
			}
			if i+1 < len(list) && list[i+1].trim && !closes(list[i+1]) {
				t.Val = strings.TrimRightFunc(t.Val, unicode.IsSpace)
			}
			if t.Val == "" {
				continue
			}
		}
		out = append(out, t)
	}
	return out
}

func closes(t Token) bool { return t.Kind == Symbol && (t.Val == "}}" || t.Val == "%}") }
