package parse

import (
	"callfleet/internal/template/sandbox/token"
	"callfleet/internal/template/sandbox/tree"
	"callfleet/internal/template/sandbox/value"
)

func (t *tokens) expression() (tree.Expr, error) {
	p := t.place()
	if err := t.deeper(p); err != nil {
		return nil, err
	}
	defer t.shallower()
	then, err := t.or()
	for err == nil && t.word("if") {
		c := &tree.Choice{Place: p, Then: then}
		if c.Cond, err = t.or(); err != nil {
			return nil, err
		}
		if t.word("else") {
			c.Other, err = t.expression()
		} else if !t.jinja {
			return nil, t.unexpected("else")
		}
		then = c
	}
	return then, err
}

func (t *tokens) or() (tree.Expr, error) {
	return t.joined(t.and, func() (string, bool) {
		_, ok := t.accept(token.Keyword, "or")
		return "or", ok || !t.jinja && t.symbol("||")
	})
}

func (t *tokens) and() (tree.Expr, error) {
	return t.joined(t.not, func() (string, bool) {
		_, ok := t.accept(token.Keyword, "and")
		return "and", ok || !t.jinja && t.symbol("&&")
	})
}

// joined parses operands with operators between them, from the left.
func (t *tokens) joined(operand func() (tree.Expr, error), operator func() (string, bool)) (tree.Expr, error) {
	left, err := operand()
	for err == nil {
		p := t.place()
		op, ok := operator()
		if !ok {
			break
		}
		var right tree.Expr
		right, err = operand()
		left = &tree.Binary{Place: p, Op: op, Left: left, Right: right}
	}
	return left, err
}

// symbols is an operator for joined.
func (t *tokens) symbols(list ...string) func() (string, bool) {
	return func() (string, bool) {
		tok, ok := t.accept(token.Symbol, list...)
		return tok.Val, ok
	}
}

func (t *tokens) not() (tree.Expr, error) {
	p := t.place()
	if _, ok := t.accept(token.Keyword, "not"); !ok && (t.jinja || !t.symbol("!")) {
		return t.comparison()
	}
	if err := t.deeper(p); err != nil {
		return nil, err
	}
	defer t.shallower()
	of, err := t.not()
	return &tree.Unary{Place: p, Op: "not", Of: of}, err
}

func (t *tokens) comparison() (tree.Expr, error) {
	left, err := t.sum()
	if err != nil {
		return nil, err
	}
	c := &tree.Chain{Operands: []tree.Expr{left}}
	for {
		p := t.place()
		op, err := t.comparator()
		if err != nil {
			return nil, err
		}
		if op == "" {
			break
		}
		if len(c.Ops) > 0 && !t.jinja {
			return nil, value.ErrorAt(p, "comparisons cannot be chained: join them by and")
		}
		right, err := t.sum()
		if err != nil {
			return nil, err
		}
		if len(c.Ops) == 0 {
			c.Place = p
		}
		c.Ops, c.Operands = append(c.Ops, op), append(c.Operands, right)
	}
	switch len(c.Ops) {
	case 0:
		return left, nil
	case 1:
		return &tree.Binary{Place: c.Place, Op: c.Ops[0], Left: left, Right: c.Operands[1]}, nil
	}
	return c, nil
}

// comparator takes a comparing operator, "" when there is none.
func (t *tokens) comparator() (string, error) {
	if tok, ok := t.accept(token.Symbol, "==", "!=", "<>", "<=", ">=", "<", ">"); ok {
		if tok.Val == "<>" {
			return "!=", nil
		}
		return tok.Val, nil
	}
	if _, ok := t.accept(token.Keyword, "in"); ok {
		return "in", nil
	}
	if _, ok := t.accept(token.Keyword, "not"); ok {
		if _, ok := t.accept(token.Keyword, "in"); !ok {
			return "", t.unexpected("in")
		}
		return "not in", nil
	}
	return "", nil
}

func (t *tokens) sum() (tree.Expr, error) { return t.joined(t.concat, t.symbols("+", "-")) }

func (t *tokens) concat() (tree.Expr, error) { return t.joined(t.product, t.symbols("~")) }

func (t *tokens) product() (tree.Expr, error) {
	return t.joined(t.power, t.symbols("*", "/", "//", "%"))
}

func (t *tokens) power() (tree.Expr, error) {
	return t.joined(func() (tree.Expr, error) { return t.unary(true) }, t.symbols("**"))
}

// unary is a value with its sign, and with what follows it.
func (t *tokens) unary(filters bool) (tree.Expr, error) {
	p := t.place()
	var e tree.Expr
	var err error
	sign, ok := t.accept(token.Symbol, "-")
	if !ok && t.jinja {
		sign, ok = t.accept(token.Symbol, "+")
	}
	if ok {
		if err := t.deeper(p); err != nil {
			return nil, err
		}
		defer t.shallower()
		e, err = t.unary(false)
		e = &tree.Unary{Place: p, Op: sign.Val, Of: e}
	} else if e, err = t.primary(); err == nil {
		e, err = t.postfix(e)
	}
	if err != nil || !filters {
		return e, err
	}
	return t.suffixes(e)
}

// suffixes are filters and tests.
func (t *tokens) suffixes(e tree.Expr) (tree.Expr, error) {
	var err error
	for err == nil {
		p := t.place()
		switch {
		case t.symbol("|"):
			e, err = t.filter(e)
		case t.word("is"):
			e, err = t.test(e, p)
		default:
			return e, nil
		}
	}
	return e, err
}

func (t *tokens) filtersOf(e tree.Expr) (tree.Expr, error) {
	var err error
	for err == nil && t.symbol("|") {
		e, err = t.filter(e)
	}
	return e, err
}

func (t *tokens) postfix(e tree.Expr) (tree.Expr, error) {
	var err error
	for err == nil {
		p := t.place()
		switch {
		case t.symbol("."):
			e, err = t.member(e, p)
		case t.symbol("["):
			e, err = t.index(e, p)
		case t.peek(token.Symbol, "("):
			e, err = t.call(e, p)
		default:
			return e, nil
		}
	}
	return e, err
}

func (t *tokens) member(e tree.Expr, p value.Place) (tree.Expr, error) {
	if tok, ok := t.accept(token.Number); ok {
		return &tree.Access{Place: p, Of: e, Index: &tree.Literal{Place: tok.Place, Value: value.Number(tok.Val)}}, nil
	}
	// Any word may be a member's name, a keyword as well.
	tok, ok := t.accept(token.Name)
	if !ok {
		tok, ok = t.accept(token.Keyword)
	}
	if !ok {
		return nil, t.unexpected("a member's name")
	}
	if !t.peek(token.Symbol, "(") {
		t.useMember(e, tok.Val)
	}
	t.memberOf(e, tok.Val, tok.Place)
	return &tree.Access{Place: tok.Place, Of: e, Key: tok.Val}, nil
}

// useMember makes the last use of a name longer, when it is this one.
func (t *tokens) useMember(e tree.Expr, key string) {
	if len(t.uses) == 0 {
		return
	}
	last := &t.uses[len(t.uses)-1]
	depth := 1
	for a, ok := e.(*tree.Access); ok; a, ok = e.(*tree.Access) {
		if a.Index != nil {
			return
		}
		e = a.Of
		depth++
	}
	if n, ok := e.(*tree.Name); ok && n.Place == last.Place && len(last.Path) == depth {
		last.Path = append(last.Path, key)
	}
}

func (t *tokens) index(e tree.Expr, p value.Place) (tree.Expr, error) {
	if t.jinja {
		if s, err := t.slice(e, p); s != nil || err != nil {
			return s, err
		}
	}
	index, err := t.expression()
	if err != nil {
		return nil, err
	}
	if t.jinja && t.peek(token.Symbol, ":") {
		return t.sliceFrom(e, index, p)
	}
	if !t.symbol("]") {
		return nil, t.unexpected("]")
	}
	return &tree.Access{Place: p, Of: e, Index: index}, nil
}

// slice is of[:…]; nil when a value stands before the colon.
func (t *tokens) slice(e tree.Expr, p value.Place) (tree.Expr, error) {
	if !t.peek(token.Symbol, ":") {
		return nil, nil
	}
	return t.sliceFrom(e, nil, p)
}

func (t *tokens) sliceFrom(e, low tree.Expr, p value.Place) (tree.Expr, error) {
	s := &tree.Slice{Place: p, Of: e, Low: low}
	var err error
	for _, bound := range []*tree.Expr{&s.High, &s.Step} {
		if !t.symbol(":") {
			break
		}
		if t.peek(token.Symbol, ":", "]") {
			continue
		}
		if *bound, err = t.expression(); err != nil {
			return nil, err
		}
	}
	if !t.symbol("]") {
		return nil, t.unexpected("]")
	}
	return s, nil
}

func (t *tokens) primary() (tree.Expr, error) {
	p := t.place()
	if tok, ok := t.accept(token.String); ok {
		text := tok.Val
		for t.jinja {
			more, ok := t.accept(token.String)
			if !ok {
				break
			}
			text += more.Val
		}
		return &tree.Literal{Place: p, Value: text}, nil
	}
	if tok, ok := t.accept(token.Number); ok {
		return t.number(tok)
	}
	if tok, ok := t.accept(token.Keyword, "true", "false"); ok {
		return &tree.Literal{Place: p, Value: tok.Val == "true"}, nil
	}
	switch {
	case t.symbol("("):
		return t.bracket(p)
	case t.symbol("["):
		items, err := t.until("]")
		return &tree.ListOf{Place: p, Items: items}, err
	case t.jinja && t.symbol("{"):
		return t.object(p)
	case !t.peek(token.Name):
		return nil, t.unexpected("a name, a text or a number")
	}
	id, err := t.identifier()
	if err != nil {
		return nil, err
	}
	switch {
	case id == "True" || id == "False":
		return &tree.Literal{Place: p, Value: id == "True"}, nil
	case id == "none" || id == "None":
		return &tree.Literal{Place: p}, nil
	case t.peek(token.Symbol, "("):
		return &tree.Name{Place: p, Name: id}, nil // the name of a function
	}
	null := !t.jinja && (id == "null" || id == "nil")
	t.uses = append(t.uses, Use{Place: p, Path: []string{id}, Asks: null})
	return &tree.Name{Place: p, Name: id, Null: null}, nil
}

// number is a number as Python prints it. pongo2's lexer takes it apart.
func (t *tokens) number(tok token.Token) (tree.Expr, error) {
	text := tok.Val
	if t.jinja {
		return &tree.Literal{Place: tok.Place, Value: value.Number(text)}, nil
	}
	float := t.symbol(".")
	if float {
		fraction, ok := t.accept(token.Number)
		if !ok {
			return nil, t.unexpected("digits")
		}
		text += "." + fraction.Val
	}
	if len(text) > 1 && text[0] == '0' && text[1] != '.' {
		return nil, value.ErrorAt(tok.Place, "a number may not begin with 0")
	}
	if float {
		var err error
		if text, err = value.Float(text); err != nil {
			return nil, value.ErrorAt(tok.Place, "the number is too large")
		}
	}
	return &tree.Literal{Place: tok.Place, Value: value.Number(text)}, nil
}

func (t *tokens) bracket(p value.Place) (tree.Expr, error) {
	if t.jinja && t.symbol(")") {
		return &tree.ListOf{Place: p, Tuple: true}, nil
	}
	parse := t.expression
	if t.jinja {
		parse = func() (tree.Expr, error) { return t.tuple(true) }
	}
	e, err := parse()
	if err == nil && !t.symbol(")") {
		err = t.unexpected(")")
	}
	return e, err
}

// until parses expressions with commas between them up to the closing symbol.
func (t *tokens) until(closing string) ([]tree.Expr, error) {
	var list []tree.Expr
	for !t.symbol(closing) {
		if len(list) > 0 && !t.symbol(",") {
			return nil, t.unexpected(", or " + closing)
		}
		if t.jinja && len(list) > 0 && t.symbol(closing) {
			break
		}
		e, err := t.expression()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func (t *tokens) object(p value.Place) (tree.Expr, error) {
	o := &tree.ObjectOf{Place: p}
	for !t.symbol("}") {
		if len(o.Keys) > 0 && !t.symbol(",") {
			return nil, t.unexpected(", or }")
		}
		if len(o.Keys) > 0 && t.symbol("}") {
			break
		}
		k, err := t.expression()
		if err != nil {
			return nil, err
		}
		if !t.symbol(":") {
			return nil, t.unexpected(":")
		}
		v, err := t.expression()
		if err != nil {
			return nil, err
		}
		o.Keys, o.Values = append(o.Keys, k), append(o.Values, v)
	}
	return o, nil
}
