package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// maxSegments bounds the recursion of an evaluation.
	maxSegments = 256
	// maxNesting bounds filters within filters, which only hostile paths nest.
	maxNesting = 16
)

// SyntaxError says where a path stops being one.
type SyntaxError struct {
	Path   string
	Offset int // in bytes
	Reason string
}

// Error names the path, the place and the reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("compile path %q: %s at offset %d", e.Path, e.Reason, e.Offset)
}

// Compile compiles a path, which starts with "$". An error is a *SyntaxError.
func Compile(text string) (*Path, error) {
	c := compiler{text: text}
	if !strings.HasPrefix(text, "$") {
		return nil, c.fail("a path starts with $")
	}
	c.pos = 1
	p, err := c.path()
	if err != nil {
		return nil, err
	}
	if c.pos < len(text) {
		return nil, c.fail("unexpected character")
	}
	p.text = text
	return p, nil
}

type compiler struct {
	text    string
	pos     int
	nesting int
}

func (c *compiler) fail(reason string) error {
	return &SyntaxError{Path: c.text, Offset: c.pos, Reason: reason}
}

func (c *compiler) peek() byte {
	if c.pos < len(c.text) {
		return c.text[c.pos]
	}
	return 0
}

func (c *compiler) take(token string) bool {
	if strings.HasPrefix(c.text[c.pos:], token) {
		c.pos += len(token)
		return true
	}
	return false
}

func (c *compiler) space() {
	for c.peek() == ' ' {
		c.pos++
	}
}

// path reads segments, after the root, up to what cannot be one. The position
// is then at the end of the text or at whatever follows the path in a filter.
func (c *compiler) path() (*Path, error) {
	p := &Path{definite: true}
	for {
		done, err := c.step(p)
		if err != nil {
			return nil, err
		}
		if done {
			return p, nil
		}
		if len(p.segments) > maxSegments {
			return nil, c.fail("too many segments")
		}
	}
}

// step reads one segment, or a function call, which ends the path.
func (c *compiler) step(p *Path) (done bool, err error) {
	switch {
	case c.take(".."):
		p.add(segment{kind: descent})
		if c.peek() == '[' {
			return false, c.bracket(p)
		}
		return c.dotted(p)
	case c.take("."):
		if c.peek() == '[' {
			return false, c.bracket(p)
		}
		return c.dotted(p)
	case c.peek() == '[':
		return false, c.bracket(p)
	default:
		return true, nil
	}
}

func (p *Path) add(s segment) {
	// Several names at the end make one object; before the end they fork.
	if n := len(p.segments); n > 0 && p.segments[n-1].kind == properties {
		p.definite = false
	}
	switch s.kind {
	case property, properties, element:
	default:
		p.definite = false
	}
	p.segments = append(p.segments, s)
}

// dotted reads a name, "*" or a function call after a dot.
func (c *compiler) dotted(p *Path) (done bool, err error) {
	if c.take("*") {
		p.add(segment{kind: wildcard})
		return false, nil
	}
	start := c.pos
	for ends := c.nameEnds(); c.pos < len(c.text) && strings.IndexByte(ends, c.text[c.pos]) < 0; {
		c.pos++
	}
	name := c.text[start:c.pos]
	if name == "" {
		return false, c.fail("expected a name")
	}
	if !utf8.ValidString(name) {
		return false, c.fail("invalid UTF-8")
	}
	if c.peek() != '(' {
		p.add(segment{kind: property, names: []string{name}})
		return false, nil
	}
	f, ok := functions[name]
	if !ok {
		return false, c.fail("unknown function " + name)
	}
	c.pos++
	c.space()
	if !c.take(")") {
		return false, c.fail("expected a closing parenthesis")
	}
	p.call = f
	return true, nil
}

// Characters that end a name after a dot: anywhere, and within a filter, where
// the path is a part of something larger.
const (
	nameEnds       = ".[]()* \t\n\r"
	nameEndsFilter = nameEnds + `'",=!<>&|~`
)

func (c *compiler) nameEnds() string {
	if c.nesting > 0 {
		return nameEndsFilter
	}
	return nameEnds
}

func (c *compiler) bracket(p *Path) error {
	c.pos++
	c.space()
	var s segment
	var err error
	switch b := c.peek(); {
	case b == '\'' || b == '"':
		s, err = c.quotedNames()
	case b == '*':
		c.pos++
		s = segment{kind: wildcard}
	case b == '?':
		c.pos++
		s, err = c.filter()
	default:
		s, err = c.indexes()
	}
	if err != nil {
		return err
	}
	c.space()
	if !c.take("]") {
		return c.fail("expected a closing bracket")
	}
	p.add(s)
	return nil
}

func (c *compiler) quotedNames() (segment, error) {
	var names []string
	for {
		c.space()
		name, err := c.quoted()
		if err != nil {
			return segment{}, err
		}
		names = append(names, name)
		c.space()
		if !c.take(",") {
			break
		}
	}
	if len(names) == 1 {
		return segment{kind: property, names: names}, nil
	}
	return segment{kind: properties, names: names}, nil
}

// quoted reads a name between quotes of either kind. A backslash before the
// quote escapes it; anywhere else it stands for itself, as on AWS.
func (c *compiler) quoted() (string, error) {
	quote := c.peek()
	if quote != '\'' && quote != '"' {
		return "", c.fail("expected a quoted name")
	}
	c.pos++
	var b strings.Builder
	for c.pos < len(c.text) {
		ch := c.text[c.pos]
		c.pos++
		switch {
		case ch == quote:
			if !utf8.ValidString(b.String()) {
				return "", c.fail("invalid UTF-8")
			}
			return b.String(), nil
		case ch == '\\' && c.peek() == quote:
			b.WriteByte(quote)
			c.pos++
		case ch == '\\' && c.peek() == '\\':
			b.WriteString(`\\`)
			c.pos++
		default:
			b.WriteByte(ch)
		}
	}
	return "", c.fail("unterminated name")
}

// indexes reads 1 or 1,2 or 1:2:3, all of which may be negative.
func (c *compiler) indexes() (segment, error) {
	s := segment{kind: element}
	first, ok, err := c.integer()
	if err != nil {
		return s, err
	}
	c.space()
	if c.peek() == ':' {
		return c.slice(first, ok)
	}
	if !ok {
		return s, c.fail("expected an index")
	}
	s.indexes = []int{first}
	for c.take(",") {
		c.space()
		i, ok, err := c.integer()
		if err != nil {
			return s, err
		}
		if !ok {
			return s, c.fail("expected an index")
		}
		s.indexes = append(s.indexes, i)
		c.space()
	}
	if len(s.indexes) > 1 {
		s.kind = elements
	}
	return s, nil
}

func (c *compiler) slice(from int, hasFrom bool) (segment, error) {
	s := segment{kind: slicing, slice: slice{from: from, hasFrom: hasFrom, step: 1}}
	c.pos++
	c.space()
	var err error
	if s.slice.to, s.slice.hasTo, err = c.integer(); err != nil {
		return s, err
	}
	c.space()
	if c.take(":") {
		c.space()
		step, ok, err := c.integer()
		if err != nil {
			return s, err
		}
		if ok && step < 1 {
			return s, c.fail("a step is positive")
		}
		if ok {
			s.slice.step = step
		}
	}
	return s, nil
}

func (c *compiler) integer() (int, bool, error) {
	start := c.pos
	if c.peek() == '-' {
		c.pos++
	}
	for b := c.peek(); b >= '0' && b <= '9'; b = c.peek() {
		c.pos++
	}
	if c.pos == start {
		return 0, false, nil
	}
	i, err := strconv.ParseInt(c.text[start:c.pos], 10, 32)
	if err != nil {
		return 0, false, c.fail("invalid index")
	}
	return int(i), true, nil
}
