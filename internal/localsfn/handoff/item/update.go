package item

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// Update is a parsed UpdateExpression: SET, REMOVE and ADD of top-level
// attributes (DynamoDB Developer Guide, "Update expressions").
type Update struct{ clauses []clause }

// clause changes one attribute. work is nil for REMOVE.
type clause struct {
	name string
	work func(old Item) (json.RawMessage, error)
}

// Error is a mistake in an update, in DynamoDB's words.
type Error struct{ Message string }

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func badUpdate(format string, args ...any) *Error {
	return &Error{"Invalid UpdateExpression: " + fmt.Sprintf(format, args...)}
}

func invalid(message string) *Error { return &Error{message} }

// ParseUpdate reads an UpdateExpression with its placeholders. An empty one
// changes nothing. The error is an *Error.
func ParseUpdate(text string, names map[string]string, values Item) (*Update, error) {
	c := &Update{}
	p := &updateParser{names: names, values: values, tokens: lex(text)}
	seen := map[string]bool{}
	for p.peek() != "" {
		section := strings.ToUpper(p.next())
		parse := map[string]func() (clause, error){"SET": p.set, "REMOVE": p.remove, "ADD": p.add}[section]
		if parse == nil {
			return nil, badUpdate("Syntax error; token: %q", section)
		}
		if seen[section] {
			return nil, badUpdate("The %q section can only be used once in an update expression;", section)
		}
		seen[section] = true
		for {
			cl, err := parse()
			if err != nil {
				return nil, err
			}
			c.clauses = append(c.clauses, cl)
			if p.peek() != "," {
				break
			}
			p.next()
		}
	}
	return c, c.distinct()
}

// distinct checks that no attribute is changed twice.
func (c *Update) distinct() error {
	seen := map[string]bool{}
	for _, cl := range c.clauses {
		if seen[cl.name] {
			return badUpdate("Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [%s], path two: [%s]", cl.name, cl.name)
		}
		seen[cl.name] = true
	}
	return nil
}

// Apply works out the new item of a key; every operand reads the old one. The
// error is an *Error.
func (c *Update) Apply(old, key Item) (Item, error) {
	now := Item{}
	for name, v := range old {
		now[name] = v
	}
	for name, v := range key {
		now[name] = v
	}
	for _, cl := range c.clauses {
		if key[cl.name] != nil {
			return nil, invalid("One or more parameter values were invalid: Cannot update attribute " + cl.name + ". This attribute is part of the key")
		}
		if cl.work == nil {
			delete(now, cl.name)
			continue
		}
		v, err := cl.work(old)
		if err != nil {
			return nil, err
		}
		now[cl.name] = v
	}
	return now, nil
}

// lex splits an expression into names, placeholders and signs.
func lex(s string) []string {
	var tokens []string
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case strings.IndexByte(",=()+-.[]", c) >= 0:
			tokens = append(tokens, string(c))
			i++
		default:
			j := i
			for j < len(s) && strings.IndexByte(" \t\r\n,=()+-.[]", s[j]) < 0 {
				j++
			}
			tokens = append(tokens, s[i:j])
			i = j
		}
	}
	return tokens
}

type updateParser struct {
	names  map[string]string
	values Item
	tokens []string
}

func (p *updateParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *updateParser) next() string {
	t := p.peek()
	if t != "" {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *updateParser) expect(sign string) error {
	if t := p.next(); t != sign {
		return badUpdate("Syntax error; token: %q, expected %q", t, sign)
	}
	return nil
}

// name reads the name of a top-level attribute.
func (p *updateParser) name() (string, error) {
	t := p.next()
	if t == "" || strings.Contains(",=()+-.[]", t) || t[0] == ':' {
		return "", badUpdate("Syntax error; token: %q", t)
	}
	if s := p.peek(); s == "." || s == "[" {
		return "", badUpdate("the local table changes whole attributes only, not %s%s…", t, s)
	}
	if t[0] != '#' {
		return t, nil
	}
	name, ok := p.names[t]
	if !ok {
		return "", badUpdate("An expression attribute name used in the document path is not defined; attribute name: %s", t)
	}
	return name, nil
}

// value reads a placeholder.
func (p *updateParser) value() (json.RawMessage, error) {
	t := p.next()
	v, ok := p.values[t]
	if !ok {
		return nil, badUpdate("An expression attribute value used in expression is not defined; attribute value: %s", t)
	}
	if _, err := sdkValue(v); err != nil {
		return nil, invalid("ExpressionAttributeValues contains invalid value: " + err.Error() + " for key " + t)
	}
	return v, nil
}

func (p *updateParser) remove() (clause, error) {
	name, err := p.name()
	return clause{name: name}, err
}

// operand works out to a value.
type operand func(old Item) (json.RawMessage, error)

func (p *updateParser) set() (clause, error) {
	name, err := p.name()
	if err != nil {
		return clause{}, err
	}
	if err := p.expect("="); err != nil {
		return clause{}, err
	}
	left, err := p.operand()
	if err != nil {
		return clause{}, err
	}
	sign := p.peek()
	if sign != "+" && sign != "-" {
		return clause{name, left}, nil
	}
	p.next()
	right, err := p.operand()
	if err != nil {
		return clause{}, err
	}
	return clause{name, func(old Item) (json.RawMessage, error) {
		a, err := left(old)
		if err != nil {
			return nil, err
		}
		b, err := right(old)
		if err != nil {
			return nil, err
		}
		return sum(a, b, sign)
	}}, nil
}

func (p *updateParser) operand() (operand, error) {
	t := p.peek()
	if strings.HasPrefix(t, ":") {
		v, err := p.value()
		return func(Item) (json.RawMessage, error) { return v, nil }, err
	}
	if len(p.tokens) > 1 && p.tokens[1] == "(" {
		return p.ifNotExists()
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	return func(old Item) (json.RawMessage, error) {
		if v := old[name]; v != nil {
			return v, nil
		}
		return nil, invalid("The provided expression refers to an attribute that does not exist in the item")
	}, nil
}

func (p *updateParser) ifNotExists() (operand, error) {
	if f := p.next(); f != "if_not_exists" {
		return nil, badUpdate("Invalid function name; function: %s (the local table knows if_not_exists)", f)
	}
	p.next() // (
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if err := p.expect(","); err != nil {
		return nil, err
	}
	other, err := p.operand()
	if err != nil {
		return nil, err
	}
	return func(old Item) (json.RawMessage, error) {
		if v := old[name]; v != nil {
			return v, nil
		}
		return other(old)
	}, p.expect(")")
}

// add reads "name :value": a number is added, a set is united.
func (p *updateParser) add() (clause, error) {
	name, err := p.name()
	if err != nil {
		return clause{}, err
	}
	v, err := p.value()
	if err != nil {
		return clause{}, err
	}
	return clause{name, func(old Item) (json.RawMessage, error) {
		if old[name] == nil {
			return v, nil
		}
		return united(old[name], v)
	}}, nil
}

func wrongType() *Error {
	return invalid("An operand in the update expression has an incorrect data type")
}

// sum adds or subtracts two numbers.
func sum(a, b json.RawMessage, sign string) (json.RawMessage, error) {
	x, y := number(a), number(b)
	if x == nil || y == nil {
		return nil, wrongType()
	}
	if sign == "-" {
		y.Neg(y)
	}
	return json.Marshal(map[string]string{"N": decimal(x.Add(x, y))})
}

func number(text json.RawMessage) *big.Rat {
	var v attributeValue
	if json.Unmarshal(text, &v) != nil || v.N == nil || len(*v.N) > 64 {
		return nil
	}
	n, ok := new(big.Rat).SetString(*v.N)
	if !ok {
		return nil
	}
	return n
}

// decimal writes a number with up to the 38 digits that DynamoDB keeps.
func decimal(n *big.Rat) string {
	if n.IsInt() {
		return n.Num().String()
	}
	return strings.TrimRight(strings.TrimRight(n.FloatString(38), "0"), ".")
}

// united adds numbers, or the elements of two sets of one kind.
func united(a, b json.RawMessage) (json.RawMessage, error) {
	var x, y attributeValue
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return nil, wrongType()
	}
	switch {
	case x.N != nil && y.N != nil:
		return sum(a, b, "+")
	case x.SS != nil && y.SS != nil:
		return json.Marshal(map[string][]string{"SS": union(x.SS, y.SS)})
	case x.NS != nil && y.NS != nil:
		return json.Marshal(map[string][]string{"NS": union(x.NS, y.NS)})
	}
	return nil, wrongType()
}

func union(a, b []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, s := range append(append([]string(nil), a...), b...) {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
