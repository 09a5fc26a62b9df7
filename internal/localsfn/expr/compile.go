package expr

import (
	"fmt"
	"strings"

	"callfleet/internal/jsonpath/value"
	"callfleet/internal/localsfn/expr/intrinsic"
)

// maxCalls is how deep calls may nest, as on AWS.
const maxCalls = 10

// compiler reads paths, calls and their literal arguments.
type compiler struct {
	text string
	pos  int
}

func (c *compiler) fail(reason string) error {
	return fmt.Errorf("compile expression %q: %s at offset %d", c.text, reason, c.pos)
}

func (c *compiler) peek() byte {
	if c.pos < len(c.text) {
		return c.text[c.pos]
	}
	return 0
}

func (c *compiler) space() {
	for c.pos < len(c.text) && strings.IndexByte(" \t\r\n", c.text[c.pos]) >= 0 {
		c.pos++
	}
}

// expression reads the whole text: a path or a call.
func (c *compiler) expression() (argument, error) {
	if strings.HasPrefix(c.text, "$") {
		path, err := CompilePath(c.text)
		return argument{path: path}, err
	}
	c.space()
	call, err := c.call(1)
	if err != nil {
		return argument{}, err
	}
	c.space()
	if c.pos < len(c.text) {
		return argument{}, c.fail("unexpected text after the call")
	}
	return argument{call: call}, nil
}

func (c *compiler) call(depth int) (*call, error) {
	if depth > maxCalls {
		return nil, c.fail("calls nested too deep")
	}
	start := c.pos
	for c.pos < len(c.text) && (c.text[c.pos] == '.' || isAlphanumeric(c.text[c.pos])) {
		c.pos++
	}
	name := c.text[start:c.pos]
	function, ok := intrinsic.Lookup(name)
	if !ok {
		c.pos = start
		return nil, c.fail("expected an intrinsic function")
	}
	c.space()
	if c.peek() != '(' {
		return nil, c.fail("expected an opening parenthesis")
	}
	c.pos++
	result := &call{function: function}
	if err := c.arguments(result, depth); err != nil {
		return nil, err
	}
	n := len(result.args)
	if result.pieces != nil {
		n++
	}
	if !function.Accepts(n) {
		return nil, c.fail("wrong number of arguments for " + name)
	}
	return result, nil
}

func isAlphanumeric(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}

// arguments reads up to and over the closing parenthesis.
func (c *compiler) arguments(into *call, depth int) error {
	c.space()
	if c.peek() == ')' {
		c.pos++
		return nil
	}
	for first := true; ; first = false {
		c.space()
		if first && c.peek() == '\'' && into.function.Name() == "States.Format" {
			literal, err := c.quoted()
			if err != nil {
				return err
			}
			into.pieces = intrinsic.SplitFormat(literal)
		} else {
			arg, err := c.argument(depth)
			if err != nil {
				return err
			}
			into.args = append(into.args, arg)
		}
		c.space()
		switch c.peek() {
		case ',':
			c.pos++
		case ')':
			c.pos++
			return nil
		default:
			return c.fail("expected a comma or a closing parenthesis")
		}
	}
}

func (c *compiler) argument(depth int) (argument, error) {
	switch b := c.peek(); {
	case b == '\'':
		literal, err := c.quoted()
		if err != nil {
			return argument{}, err
		}
		return argument{literal: String(unescape(literal))}, nil
	case b == '$':
		return c.path()
	case strings.HasPrefix(c.text[c.pos:], "States."):
		call, err := c.call(depth + 1)
		return argument{call: call}, err
	default:
		start := c.pos
		for c.pos < len(c.text) && strings.IndexByte(",) \t\r\n", c.text[c.pos]) < 0 {
			c.pos++
		}
		v, err := value.Parse([]byte(c.text[start:c.pos]))
		if err != nil || v.Kind() > KindNumber {
			c.pos = start
			return argument{}, c.fail("expected a path, a literal or a call")
		}
		return argument{literal: v}, nil
	}
}

// path reads a path argument, which ends at a comma, parenthesis or space that
// is not within brackets, quotes or parentheses of its own.
func (c *compiler) path() (argument, error) {
	start, depth := c.pos, 0
	var quote byte
scan:
	for ; c.pos < len(c.text); c.pos++ {
		b := c.text[c.pos]
		switch {
		case quote != 0:
			if b == '\\' {
				c.pos++
			} else if b == quote {
				quote = 0
			}
		case depth > 0 && (b == '\'' || b == '"'):
			quote = b
		case b == '[' || b == '(':
			depth++
		case depth > 0 && (b == ']' || b == ')'):
			depth--
		case depth == 0 && strings.IndexByte(",) \t\r\n", b) >= 0:
			break scan
		}
	}
	c.pos = min(c.pos, len(c.text))
	path, err := CompilePath(c.text[start:c.pos])
	return argument{path: path}, err
}

// quoted reads a literal in single quotes and returns what is between them,
// escapes and all. AWS refuses a backslash before anything but ' { } and \.
func (c *compiler) quoted() (string, error) {
	c.pos++
	start := c.pos
	for ; c.pos < len(c.text); c.pos++ {
		switch c.text[c.pos] {
		case '\'':
			c.pos++
			return c.text[start : c.pos-1], nil
		case '\\':
			c.pos++
			if b := c.peek(); b == 0 || strings.IndexByte(`'{}\`, b) < 0 {
				return "", c.fail("invalid escape")
			}
		}
	}
	return "", c.fail("unterminated literal")
}

func unescape(literal string) string {
	if strings.IndexByte(literal, '\\') < 0 {
		return literal
	}
	var b strings.Builder
	for i := 0; i < len(literal); i++ {
		if literal[i] == '\\' && i+1 < len(literal) {
			i++
		}
		b.WriteByte(literal[i])
	}
	return b.String()
}
