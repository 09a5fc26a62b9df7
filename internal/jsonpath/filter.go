package jsonpath

import (
	"regexp"
	"strings"

	"callfleet/internal/jsonpath/value"
)

// predicate decides on one candidate of a filter.
type predicate func(s *selection, candidate value.Value) (bool, error)

// operand is one side of a comparison: absent if it is a path to nothing.
type operand func(s *selection, candidate value.Value) (value.Value, error)

// filter reads ?(…) up to its closing parenthesis.
func (c *compiler) filter() (segment, error) {
	if c.nesting++; c.nesting > maxNesting {
		return segment{}, c.fail("filters nested too deep")
	}
	defer func() { c.nesting-- }()
	c.space()
	if !c.take("(") {
		return segment{}, c.fail("expected ( after ?")
	}
	accept, err := c.or()
	if err != nil {
		return segment{}, err
	}
	c.space()
	if !c.take(")") {
		return segment{}, c.fail("expected a closing parenthesis")
	}
	return segment{kind: filtering, filter: accept}, nil
}

func (c *compiler) or() (predicate, error) {
	left, err := c.and()
	if err != nil {
		return nil, err
	}
	for c.space(); c.take("||"); c.space() {
		right, err := c.and()
		if err != nil {
			return nil, err
		}
		a, b := left, right
		left = func(s *selection, v value.Value) (bool, error) {
			if ok, err := a(s, v); ok || err != nil {
				return ok, err
			}
			return b(s, v)
		}
	}
	return left, nil
}

func (c *compiler) and() (predicate, error) {
	left, err := c.not()
	if err != nil {
		return nil, err
	}
	for c.space(); c.take("&&"); c.space() {
		right, err := c.not()
		if err != nil {
			return nil, err
		}
		a, b := left, right
		left = func(s *selection, v value.Value) (bool, error) {
			if ok, err := a(s, v); !ok || err != nil {
				return false, err
			}
			return b(s, v)
		}
	}
	return left, nil
}

// not reads a negation, a group or a comparison.
func (c *compiler) not() (predicate, error) {
	if c.nesting++; c.nesting > maxNesting {
		return nil, c.fail("filters nested too deep")
	}
	defer func() { c.nesting-- }()
	c.space()
	switch {
	case c.take("!"):
		inner, err := c.not()
		if err != nil {
			return nil, err
		}
		return func(s *selection, v value.Value) (bool, error) {
			ok, err := inner(s, v)
			return !ok && err == nil, err
		}, nil
	case c.take("("):
		inner, err := c.or()
		if err != nil {
			return nil, err
		}
		c.space()
		if !c.take(")") {
			return nil, c.fail("expected a closing parenthesis")
		}
		return inner, nil
	default:
		return c.comparison()
	}
}

// comparison reads "operand operator operand", or a lone path, which asks
// whether it leads to anything.
func (c *compiler) comparison() (predicate, error) {
	left, err := c.operand()
	if err != nil {
		return nil, err
	}
	c.space()
	if c.take("=~") {
		return c.match(left)
	}
	for _, op := range operators {
		start := c.pos
		if !c.take(op.name) {
			continue
		}
		if op.word && c.peek() != ' ' && c.peek() != '[' && c.peek() != '\'' {
			c.pos = start
			continue
		}
		right, err := c.operand()
		if err != nil {
			return nil, err
		}
		return compared(left, right, op.holds), nil
	}
	return func(s *selection, v value.Value) (bool, error) {
		found, err := left(s, v)
		return !found.IsAbsent(), err
	}, nil
}

func compared(left, right operand, holds func(a, b value.Value) bool) predicate {
	return func(s *selection, v value.Value) (bool, error) {
		a, err := left(s, v)
		if err != nil {
			return false, err
		}
		b, err := right(s, v)
		if err != nil {
			return false, err
		}
		if err := s.charge(a, b); err != nil {
			return false, err
		}
		return holds(a, b), nil
	}
}

// charge counts the work of comparing a with b, which may be large and is done
// for each candidate.
func (s *selection) charge(a, b value.Value) error {
	s.visits += a.Len()*b.Len() + 1
	for _, v := range [...]value.Value{a, b} {
		if v.Kind() >= value.KindArray {
			s.visits += v.Size() / 8
		}
	}
	if s.visits > maxVisits {
		return ErrTooLarge
	}
	return nil
}

// operators in an order in which none hides a longer one.
var operators = []struct {
	name  string
	word  bool
	holds func(a, b value.Value) bool
}{
	{"===", false, equal},
	{"!==", false, func(a, b value.Value) bool { return !equal(a, b) }},
	{"==", false, equal},
	{"!=", false, func(a, b value.Value) bool { return !equal(a, b) }},
	{"<=", false, func(a, b value.Value) bool { c, ok := compare(a, b); return ok && c <= 0 }},
	{">=", false, func(a, b value.Value) bool { c, ok := compare(a, b); return ok && c >= 0 }},
	{"<", false, func(a, b value.Value) bool { c, ok := compare(a, b); return ok && c < 0 }},
	{">", false, func(a, b value.Value) bool { c, ok := compare(a, b); return ok && c > 0 }},
	{"in", true, func(a, b value.Value) bool { return holds(b, a) }},
	{"nin", true, func(a, b value.Value) bool { return !holds(b, a) }},
	{"contains", true, contains},
	{"subsetof", true, func(a, b value.Value) bool { return a.Kind() == value.KindArray && overlap(a, b) == a.Len() }},
	{"anyof", true, func(a, b value.Value) bool { return overlap(a, b) > 0 }},
	{"noneof", true, func(a, b value.Value) bool { return overlap(a, b) == 0 }},
	{"size", true, func(a, b value.Value) bool { return float64(size(a)) == b.Float() }},
	{"empty", true, func(a, b value.Value) bool { return !a.IsAbsent() && (size(a) == 0) == b.Bool() }},
}

// equal takes absent for unequal to everything.
func equal(a, b value.Value) bool {
	return !a.IsAbsent() && !b.IsAbsent() && value.Equal(a, b)
}

func compare(a, b value.Value) (int, bool) {
	switch {
	case a.Kind() != b.Kind():
		return 0, false
	case a.Kind() == value.KindString:
		return strings.Compare(a.Text(), b.Text()), true
	case a.Kind() == value.KindNumber:
		x, y := a.Float(), b.Float()
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		default:
			return 0, true
		}
	default:
		return 0, false
	}
}

// holds reports whether the array has an element equal to v.
func holds(array, v value.Value) bool {
	for _, e := range array.Elements() {
		if equal(e, v) {
			return true
		}
	}
	return false
}

func contains(a, b value.Value) bool {
	if a.Kind() == value.KindString && b.Kind() == value.KindString {
		return strings.Contains(a.Text(), b.Text())
	}
	return holds(a, b)
}

// overlap counts the elements of a that b has as well.
func overlap(a, b value.Value) int {
	n := 0
	for _, e := range a.Elements() {
		if holds(b, e) {
			n++
		}
	}
	return n
}

func size(v value.Value) int {
	if v.Kind() == value.KindString {
		return len([]rune(v.Text()))
	}
	return v.Len()
}

// match reads the /pattern/ after =~, which has to match the whole string.
func (c *compiler) match(left operand) (predicate, error) {
	c.space()
	if !c.take("/") {
		return nil, c.fail("expected a pattern")
	}
	start := c.pos
	for c.pos < len(c.text) && c.text[c.pos] != '/' {
		if c.text[c.pos] == '\\' {
			c.pos++
		}
		c.pos++
	}
	if c.pos >= len(c.text) {
		c.pos = len(c.text)
		return nil, c.fail("unterminated pattern")
	}
	pattern := strings.ReplaceAll(c.text[start:c.pos], `\/`, "/")
	c.pos++
	flags := "s"
	if c.take("i") {
		flags += "i"
	}
	re, err := regexp.Compile("^(?" + flags + ":" + pattern + ")$")
	if err != nil {
		return nil, c.fail("invalid pattern")
	}
	return func(s *selection, v value.Value) (bool, error) {
		found, err := left(s, v)
		return err == nil && found.Kind() == value.KindString && re.MatchString(found.Text()), err
	}, nil
}

// operand reads a path or a literal.
func (c *compiler) operand() (operand, error) {
	c.space()
	switch b := c.peek(); b {
	case '@', '$':
		c.pos++
		p, err := c.path()
		if err != nil {
			return nil, err
		}
		return p.operand(b == '$'), nil
	case '\'':
		text, err := c.quoted()
		if err != nil {
			return nil, err
		}
		return constant(value.String(text)), nil
	}
	start := c.pos
	v, err := value.Parse([]byte(c.literal()))
	if err != nil {
		c.pos = start
		return nil, c.fail("expected a path or a literal")
	}
	return constant(v), nil
}

func constant(v value.Value) operand {
	return func(*selection, value.Value) (value.Value, error) { return v, nil }
}

// literal steps over one JSON literal, in which strings may also be in single
// quotes, and returns it as JSON.
func (c *compiler) literal() string {
	start, depth := c.pos, 0
	var b strings.Builder
	for c.pos < len(c.text) {
		ch := c.text[c.pos]
		switch {
		case ch == '\'' || ch == '"':
			from := c.pos
			text, err := c.quoted()
			if err != nil {
				return ""
			}
			if ch == '"' {
				b.WriteString(c.text[from:c.pos])
			} else {
				b.Write(value.AppendQuoted(nil, text))
			}
			if depth == 0 {
				return b.String()
			}
			continue
		case ch == '[' || ch == '{':
			depth++
		case (ch == ']' || ch == '}') && depth > 0:
			depth--
			if depth == 0 {
				c.pos++
				return b.String() + string(ch)
			}
		case depth == 0 && strings.IndexByte("])}&|=!<> ", ch) >= 0:
			return b.String()
		}
		b.WriteByte(ch)
		c.pos++
	}
	c.pos = start
	return ""
}

// operand evaluates the path from the candidate or from the root. It shares the
// limits of the selection it is a part of.
func (p *Path) operand(fromRoot bool) operand {
	return func(s *selection, candidate value.Value) (value.Value, error) {
		if fromRoot {
			candidate = s.root
		}
		if err := s.visit(); err != nil {
			return value.Value{}, err
		}
		if p.definite {
			v, ok := p.Find(candidate)
			if !ok {
				return value.Value{}, nil
			}
			return v, nil
		}
		inner := selection{root: s.root, visits: s.visits}
		err := inner.walk(p.segments, candidate)
		s.visits = inner.visits
		if err != nil {
			return value.Value{}, err
		}
		list := value.Array(inner.out...)
		if p.call == nil {
			return list, nil
		}
		if v, err := p.call(list); err == nil {
			return v, nil
		}
		return value.Value{}, nil
	}
}
