package token

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"callfleet/internal/template/sandbox/value"
)

// jinja reads Jinja2's spelling, as its lexer does with the default settings.
type jinja struct {
	src   string
	i     int
	line  int
	start int // of the line
	out   []Token
}

// Jinja reads text as Jinja2 does. The error is a *value.Error.
func Jinja(source string) ([]Token, error) {
	l := &jinja{src: source, line: 1}
	for l.i < len(l.src) {
		if err := l.next(); err != nil {
			return nil, err
		}
	}
	return trimmed(l.out), nil
}

func (l *jinja) place() value.Place { return value.Place{Line: l.line, Column: l.i - l.start + 1} }

// skip goes on by n bytes and counts lines.
func (l *jinja) skip(n int) string {
	s := l.src[l.i : l.i+n]
	if lines := strings.Count(s, "\n"); lines > 0 {
		l.line += lines
		l.start = l.i + strings.LastIndexByte(s, '\n') + 1
	}
	l.i += n
	return s
}

func (l *jinja) space() {
	rest := l.src[l.i:]
	l.skip(len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsSpace)))
}

func (l *jinja) emit(kind Kind, n int) {
	at := l.place()
	l.out = append(l.out, Token{Place: at, Kind: kind, Val: l.skip(n)})
}

// next reads text up to a brace, and what the brace opens.
func (l *jinja) next() error {
	open := -1
	for i := l.i; i+1 < len(l.src); i++ {
		if c := l.src[i+1]; l.src[i] == '{' && (c == '{' || c == '%' || c == '#') {
			open = i
			break
		}
	}
	if open < 0 {
		l.emit(Data, len(l.src)-l.i)
		return nil
	}
	if open > l.i {
		l.emit(Data, open-l.i)
		if strings.HasPrefix(l.src[open+2:], "-") {
			t := &l.out[len(l.out)-1]
			t.Val = strings.TrimRightFunc(t.Val, unicode.IsSpace)
		}
	}
	at := l.place()
	switch l.src[open+1] {
	case '#':
		return l.remark(at)
	case '%':
		if done, err := l.raw(at); done || err != nil {
			return err
		}
		return l.code(at, "%}")
	}
	return l.code(at, "}}")
}

func (l *jinja) remark(at value.Place) error {
	l.skip(2)
	l.sign()
	n := strings.Index(l.src[l.i:], "#}")
	if n < 0 {
		return value.ErrorAt(at, "the remark is not closed by #}")
	}
	trim := n > 0 && l.src[l.i+n-1] == '-'
	l.skip(n + 2)
	if trim {
		l.space()
	}
	return nil
}

// sign takes the - or + of an opening brace.
func (l *jinja) sign() {
	if l.i < len(l.src) && (l.src[l.i] == '-' || l.src[l.i] == '+') {
		l.skip(1)
	}
}

// tagAt matches {% name %} at i, and says how long it is and whether its braces
// take white space away.
func (l *jinja) tagAt(i int, name string) (n int, before, behind bool) {
	s, ok := strings.CutPrefix(l.src[i:], "{%")
	if !ok {
		return 0, false, false
	}
	before = strings.HasPrefix(s, "-")
	s = strings.TrimLeftFunc(strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+"), unicode.IsSpace)
	if s, ok = strings.CutPrefix(s, name); !ok {
		return 0, false, false
	}
	s = strings.TrimLeftFunc(s, unicode.IsSpace)
	behind = strings.HasPrefix(s, "-")
	if s, ok = strings.CutPrefix(strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+"), "%}"); !ok {
		return 0, false, false
	}
	return len(l.src) - i - len(s), before, behind
}

// raw reads {% raw %}…{% endraw %} when it stands here.
func (l *jinja) raw(at value.Place) (bool, error) {
	n, _, trim := l.tagAt(l.i, "raw")
	if n == 0 {
		return false, nil
	}
	l.skip(n)
	if trim {
		l.space()
	}
	for i := l.i; i < len(l.src); i++ {
		n, before, behind := l.tagAt(i, "endraw")
		if n == 0 {
			continue
		}
		l.emit(Data, i-l.i)
		if t := &l.out[len(l.out)-1]; before {
			t.Val = strings.TrimRightFunc(t.Val, unicode.IsSpace)
		}
		l.skip(n)
		if behind {
			l.space()
		}
		return true, nil
	}
	return false, value.ErrorAt(at, "{%% raw %%} has no {%% endraw %%}")
}

// symbols, the longer ones first.
var symbols = []string{"==", "!=", "<=", ">=", "//", "**",
	"+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", "<", ">", "=", ".", ":", "|", ",", ";"}

// code reads the tokens from one brace to the other.
func (l *jinja) code(at value.Place, closing string) error {
	l.emit(Symbol, 2)
	l.sign()
	nested := 0
	for {
		l.space()
		rest := l.src[l.i:]
		if rest == "" {
			return value.ErrorAt(at, "is not closed by %s", closing)
		}
		if nested == 0 {
			sign := 0
			if rest[0] == '-' || rest[0] == '+' && closing == "%}" {
				sign = 1
			}
			if strings.HasPrefix(rest[sign:], closing) {
				l.skip(sign)
				l.emit(Symbol, 2)
				if rest[0] == '-' {
					l.space()
				}
				return nil
			}
		}
		if err := l.token(rest); err != nil {
			return err
		}
		switch l.out[len(l.out)-1].symbol() {
		case "(", "[", "{":
			nested++
		case ")", "]", "}":
			nested = max(0, nested-1)
		}
	}
}

func (t Token) symbol() string {
	if t.Kind != Symbol {
		return ""
	}
	return t.Val
}

func (l *jinja) token(rest string) error {
	if n, float := number(rest, l.i > 0 && l.src[l.i-1] == '.'); n > 0 {
		at := l.place()
		text, err := canonical(l.skip(n), float)
		if err != nil {
			return value.ErrorAt(at, "%q is no number", rest[:n])
		}
		l.out = append(l.out, Token{Place: at, Kind: Number, Val: text})
		return nil
	}
	c, _ := utf8.DecodeRuneInString(rest)
	switch {
	case c == '_' || unicode.IsLetter(c):
		n := strings.IndexFunc(rest, func(c rune) bool {
			return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.Is(unicode.Mn, c)
		})
		if n < 0 {
			n = len(rest)
		}
		kind := Name
		switch rest[:n] {
		case "in", "not", "and", "or", "true", "false":
			kind = Keyword
		}
		l.emit(kind, n)
		return nil
	case c == '"' || c == '\'':
		return l.text(byte(c))
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			l.emit(Symbol, len(s))
			return nil
		}
	}
	return value.ErrorAt(l.place(), "unexpected character %q", c)
}

// number measures a number; behind a dot there are whole ones only.
func number(s string, behindDot bool) (n int, float bool) {
	digits := func(i int) int {
		for i < len(s) && ('0' <= s[i] && s[i] <= '9' || s[i] == '_' && i+1 < len(s) && '0' <= s[i+1] && s[i+1] <= '9') {
			i++
		}
		return i
	}
	if s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	if s[0] == '0' && len(s) > 2 && strings.IndexByte("xXoObB", s[1]) >= 0 {
		i := 2
		for i < len(s) && (s[i] == '_' || '0' <= s[i] && s[i] <= '9' || 'a' <= s[i]|0x20 && s[i]|0x20 <= 'f') {
			i++
		}
		if i > 2 {
			return i, false
		}
	}
	n = digits(0)
	if behindDot {
		return n, false
	}
	if n+1 < len(s) && s[n] == '.' && '0' <= s[n+1] && s[n+1] <= '9' {
		n, float = digits(n+1), true
	}
	if n < len(s) && s[n]|0x20 == 'e' {
		i := n + 1
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if i < len(s) && '0' <= s[i] && s[i] <= '9' {
			n, float = digits(i), true
		}
	}
	return n, float
}

// canonical writes a number of the template as Python prints it.
func canonical(s string, float bool) (string, error) {
	if !float {
		if s[0] == '0' && strings.Trim(s, "0_") != "" && strings.IndexByte("xXoObB", s[1]) < 0 {
			return "", strconv.ErrSyntax
		}
		if len(s) > 1 && s[0] == '0' {
			n, err := strconv.ParseInt(s, 0, 64)
			return strconv.FormatInt(n, 10), err
		}
		return strings.ReplaceAll(s, "_", ""), nil
	}
	return value.Float(strings.ReplaceAll(s, "_", ""))
}

// text reads a string; its escapes are Python's.
func (l *jinja) text(quote byte) error {
	at := l.place()
	for i := l.i + 1; i < len(l.src); i++ {
		switch l.src[i] {
		case '\\':
			i++
		case quote:
			s, ok := unescape(l.skip(i + 1 - l.i))
			if !ok {
				return value.ErrorAt(at, "holds an escape that Python does not know")
			}
			l.out = append(l.out, Token{Place: at, Kind: String, Val: s})
			return nil
		}
	}
	return value.ErrorAt(at, "the text is not closed by %c", quote)
}

func unescape(quoted string) (string, bool) {
	s := quoted[1 : len(quoted)-1]
	if !strings.Contains(s, `\`) {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		i++
		const names, means = `\'"abfnrtv`, "\\'\"\a\b\f\n\r\t\v"
		if k := strings.IndexByte(names, s[i]); k >= 0 {
			b.WriteByte(means[k])
			continue
		}
		size, base := 0, 16
		switch c := s[i]; {
		case c == '\n':
			continue
		case c == 'x':
			size = 2
		case c == 'u':
			size = 4
		case c == 'U':
			size = 8
		case '0' <= c && c <= '7':
			base = 8
			i--
			for size < 3 && i+1+size < len(s) && '0' <= s[i+1+size] && s[i+1+size] <= '7' {
				size++
			}
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
			continue
		}
		if i+1+size > len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i+1:i+1+size], base, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return "", false
		}
		b.WriteRune(rune(n))
		i += size
	}
	return b.String(), true
}
