package value

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest in a text that Parse
// accepts; AWS's parser has the same limit.
const MaxDepth = 1000

// SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	Offset int // in bytes
	Reason string
}

// Error names the place and the reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("parse json: %s at offset %d", e.Reason, e.Offset)
}

// Parse reads one JSON text: strictly RFC 8259, UTF-8, nested no deeper than
// MaxDepth. The Value keeps text, which must not be changed afterwards. An
// error is a *SyntaxError.
func Parse(text []byte) (Value, error) {
	p := parser{text: text}
	p.space()
	start := p.pos
	if err := p.value(0); err != nil {
		return Value{}, err
	}
	p.space()
	if p.pos < len(text) {
		return Value{}, p.fail("unexpected text after the value")
	}
	if !utf8.Valid(text) {
		return Value{}, &SyntaxError{Offset: invalidAt(text), Reason: "invalid UTF-8"}
	}
	return Value{&node{text: text[:len(text):len(text)], kind: kindOf(text[start])}}, nil
}

// Raw makes a Value of text that is known to be one valid JSON text, such as
// text that an encoder wrote, without reading it. The Value keeps text, which
// must not be changed afterwards. Text that is not JSON gives a Value of no
// particular content; empty text gives the absent Value.
func Raw(text json.RawMessage) Value {
	for _, c := range text {
		if !isSpace(c) {
			return Value{&node{text: text[:len(text):len(text)], kind: kindOf(c)}}
		}
	}
	return Value{}
}

func invalidAt(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(text)
}

// parser checks a text; it builds nothing.
type parser struct {
	text []byte
	pos  int
}

func (p *parser) fail(reason string) error {
	return &SyntaxError{Offset: p.pos, Reason: reason}
}

func (p *parser) space() {
	for p.pos < len(p.text) && isSpace(p.text[p.pos]) {
		p.pos++
	}
}

// peek returns the byte at the position, 0 at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *parser) value(depth int) error {
	switch c := p.peek(); {
	case p.pos >= len(p.text):
		return p.fail("unexpected end")
	case c == '{' || c == '[':
		if depth == MaxDepth {
			return p.fail("nested too deep")
		}
		p.pos++
		if c == '{' {
			return p.object(depth + 1)
		}
		return p.array(depth + 1)
	case c == '"':
		return p.string()
	case c == '-' || c >= '0' && c <= '9':
		end, ok := scanNumber(p.text, p.pos)
		p.pos = end
		if !ok {
			return p.fail("invalid number")
		}
		return nil
	case c == 't':
		return p.literal("true")
	case c == 'f':
		return p.literal("false")
	case c == 'n':
		return p.literal("null")
	default:
		return p.fail("unexpected character")
	}
}

func (p *parser) literal(word string) error {
	end := p.pos + len(word)
	if end > len(p.text) || string(p.text[p.pos:end]) != word {
		return p.fail("unexpected word")
	}
	p.pos = end
	return nil
}

func (p *parser) array(depth int) error {
	p.space()
	if p.peek() == ']' {
		p.pos++
		return nil
	}
	for {
		p.space()
		if err := p.value(depth); err != nil {
			return err
		}
		if done, err := p.next(']'); done || err != nil {
			return err
		}
	}
}

func (p *parser) object(depth int) error {
	p.space()
	if p.peek() == '}' {
		p.pos++
		return nil
	}
	for {
		p.space()
		if p.peek() != '"' {
			return p.fail("expected a key")
		}
		if err := p.string(); err != nil {
			return err
		}
		p.space()
		if p.peek() != ':' {
			return p.fail("expected a colon")
		}
		p.pos++
		p.space()
		if err := p.value(depth); err != nil {
			return err
		}
		if done, err := p.next('}'); done || err != nil {
			return err
		}
	}
}

// next steps over the comma, or over the closing bracket, which ends the list.
func (p *parser) next(closing byte) (done bool, err error) {
	p.space()
	switch p.peek() {
	case ',':
		p.pos++
		return false, nil
	case closing:
		p.pos++
		return true, nil
	default:
		return false, p.fail("expected a comma or a closing bracket")
	}
}

func (p *parser) string() error {
	for p.pos++; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			return nil
		case c < ' ':
			return p.fail("control character in a string")
		case c == '\\':
			p.pos++
			if err := p.escape(); err != nil {
				return err
			}
		}
	}
	return p.fail("unterminated string")
}

// escape checks what follows a backslash and stays on its last byte.
func (p *parser) escape() error {
	switch p.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			p.pos++
			if !isHex(p.peek()) {
				return p.fail("invalid escape in a string")
			}
		}
		return nil
	default:
		return p.fail("invalid escape in a string")
	}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// scanNumber returns the end of the JSON number at i and whether there is one.
func scanNumber(text []byte, i int) (int, bool) {
	if i < len(text) && text[i] == '-' {
		i++
	}
	whole := i
	i = scanDigits(text, i)
	if i == whole || text[whole] == '0' && i > whole+1 {
		return i, false
	}
	if i < len(text) && text[i] == '.' {
		from := i + 1
		if i = scanDigits(text, from); i == from {
			return i, false
		}
	}
	if i < len(text) && (text[i] == 'e' || text[i] == 'E') {
		i++
		if i < len(text) && (text[i] == '+' || text[i] == '-') {
			i++
		}
		from := i
		if i = scanDigits(text, from); i == from {
			return i, false
		}
	}
	return i, true
}

func scanDigits(text []byte, i int) int {
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	return i
}
