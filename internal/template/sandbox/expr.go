package sandbox

import (
	"strings"

	"github.com/flosch/pongo2/v6"

	"callfleet/internal/template/sandbox/filter"
	"callfleet/internal/template/sandbox/value"
)

// tokens is the code between two braces.
type tokens struct {
	list   []*pongo2.Token
	i      int
	end    value.Place // of the closing brace
	depth  int
	prints bool // between {{ and }}
}

const maxExprDepth = 50

func (t *tokens) peek(typ pongo2.TokenType, vals ...string) bool {
	if t.i >= len(t.list) || t.list[t.i].Typ != typ {
		return false
	}
	for _, v := range vals {
		if t.list[t.i].Val == v {
			return true
		}
	}
	return len(vals) == 0
}

// accept takes the next token if it fits.
func (t *tokens) accept(typ pongo2.TokenType, vals ...string) (*pongo2.Token, bool) {
	if !t.peek(typ, vals...) {
		return nil, false
	}
	t.i++
	return t.list[t.i-1], true
}

func (t *tokens) place() value.Place {
	if t.i < len(t.list) {
		return placeOf(t.list[t.i])
	}
	return t.end
}

func (t *tokens) symbol(vals ...string) bool {
	_, ok := t.accept(pongo2.TokenSymbol, vals...)
	return ok
}

func (t *tokens) word(vals ...string) bool {
	_, ok := t.accept(pongo2.TokenIdentifier, vals...)
	return ok
}

// unexpected complains about the next token.
func (t *tokens) unexpected(want string) error {
	if t.i >= len(t.list) {
		return value.ErrorAt(t.end, "expected %s", want)
	}
	val := t.list[t.i].Val
	if t.list[t.i].Typ == pongo2.TokenHTML && val != "" { // where pongo2's lexer gave up
		val = string([]rune(val)[0])
	}
	return value.ErrorAt(t.place(), "expected %s, found %q", want, val)
}

// identifier takes a name that a template may give or use.
func (t *tokens) identifier() (string, error) {
	tok, ok := t.accept(pongo2.TokenIdentifier)
	if !ok {
		return "", t.unexpected("a name")
	}
	if c := tok.Val[0]; '0' <= c && c <= '9' {
		return "", value.ErrorAt(placeOf(tok), "%q is neither a number nor a name", tok.Val)
	}
	return tok.Val, nil
}

// whole parses an expression that takes all that is left.
func (t *tokens) whole() (expr, error) {
	e, err := t.expression()
	if err == nil && t.i < len(t.list) {
		return nil, t.unexpected("the end of the expression")
	}
	return e, err
}

func (t *tokens) expression() (expr, error) {
	if t.depth++; t.depth > maxExprDepth {
		return nil, value.ErrorAt(t.place(), "expression is nested more than %d deep", maxExprDepth)
	}
	defer func() { t.depth-- }()
	p := t.place()
	then, err := t.or()
	if err != nil || !t.word("if") {
		return then, err
	}
	cond, err := t.or()
	if err != nil {
		return nil, err
	}
	if !t.word("else") {
		return nil, t.unexpected("else")
	}
	other, err := t.expression()
	if err != nil {
		return nil, err
	}
	return &choice{p, cond, then, other}, nil
}

func (t *tokens) or() (expr, error) {
	left, err := t.and()
	for err == nil {
		p := t.place()
		if _, ok := t.accept(pongo2.TokenKeyword, "or"); !ok && !t.symbol("||") {
			break
		}
		var right expr
		right, err = t.and()
		left = &binary{p, "or", left, right}
	}
	return left, err
}

func (t *tokens) and() (expr, error) {
	left, err := t.not()
	for err == nil {
		p := t.place()
		if _, ok := t.accept(pongo2.TokenKeyword, "and"); !ok && !t.symbol("&&") {
			break
		}
		var right expr
		right, err = t.not()
		left = &binary{p, "and", left, right}
	}
	return left, err
}

func (t *tokens) not() (expr, error) {
	p := t.place()
	if _, ok := t.accept(pongo2.TokenKeyword, "not"); !ok && !t.symbol("!") {
		return t.comparison()
	}
	if t.depth++; t.depth > maxExprDepth {
		return nil, value.ErrorAt(p, "expression is nested more than %d deep", maxExprDepth)
	}
	defer func() { t.depth-- }()
	of, err := t.not()
	return &unary{p, "not", of}, err
}

func (t *tokens) comparison() (expr, error) {
	left, err := t.sum()
	if err != nil {
		return nil, err
	}
	p := t.place()
	if t.word("is") {
		return t.test(left, p)
	}
	op, err := t.comparator()
	if err != nil || op == "" {
		return left, err
	}
	right, err := t.sum()
	if err != nil {
		return nil, err
	}
	if q := t.place(); t.i < len(t.list) {
		if again, err := t.comparator(); err != nil || again != "" {
			return nil, value.ErrorAt(q, "comparisons cannot be chained: join them by and")
		}
	}
	if op == "not in" {
		return &unary{p, "not", &binary{p, "in", left, right}}, nil
	}
	return &binary{p, op, left, right}, nil
}

// comparator takes a comparing operator, "" when there is none.
func (t *tokens) comparator() (string, error) {
	if tok, ok := t.accept(pongo2.TokenSymbol, "==", "!=", "<>", "<=", ">=", "<", ">"); ok {
		if tok.Val == "<>" {
			return "!=", nil
		}
		return tok.Val, nil
	}
	if _, ok := t.accept(pongo2.TokenKeyword, "in"); ok {
		return "in", nil
	}
	if _, ok := t.accept(pongo2.TokenKeyword, "not"); ok {
		if _, ok := t.accept(pongo2.TokenKeyword, "in"); !ok {
			return "", t.unexpected("in")
		}
		return "not in", nil
	}
	return "", nil
}

func (t *tokens) test(of expr, p value.Place) (expr, error) {
	_, negate := t.accept(pongo2.TokenKeyword, "not")
	tok, ok := t.accept(pongo2.TokenIdentifier, "defined", "undefined", "none", "None")
	if !ok {
		return nil, t.unexpected("defined, undefined or none")
	}
	what := strings.ToLower(tok.Val)
	if what == "undefined" {
		what, negate = "defined", !negate
	}
	return &test{p, of, what, negate}, nil
}

func (t *tokens) sum() (expr, error) {
	left, err := t.product()
	for err == nil {
		p := t.place()
		op, ok := t.accept(pongo2.TokenSymbol, "+", "-")
		if !ok {
			break
		}
		var right expr
		right, err = t.product()
		left = &binary{p, op.Val, left, right}
	}
	return left, err
}

func (t *tokens) product() (expr, error) {
	left, err := t.filtered()
	for err == nil {
		p := t.place()
		op, ok := t.accept(pongo2.TokenSymbol, "*", "/", "%")
		if !ok {
			break
		}
		var right expr
		right, err = t.filtered()
		left = &binary{p, op.Val, left, right}
	}
	return left, err
}

func (t *tokens) filtered() (expr, error) {
	p := t.place()
	minus := t.symbol("-")
	e, err := t.primary()
	if err == nil {
		e, err = t.postfix(e)
	}
	if err == nil && minus {
		e = &unary{p, "-", e}
	}
	for err == nil && t.symbol("|") {
		e, err = t.filter(e)
	}
	return e, err
}

func (t *tokens) filter(of expr) (expr, error) {
	p := t.place()
	id, err := t.identifier()
	if err != nil {
		return nil, err
	}
	if id == "secret" {
		return t.secret(of, p)
	}
	f := filter.Lookup(id)
	if f == nil {
		return nil, value.ErrorAt(p, "there is no filter %q", id)
	}
	e := &filtered{Place: p, of: of, path: pathOf(of), filter: f, name: id}
	switch {
	case t.symbol(":"):
		arg, err := t.primary()
		if err == nil {
			arg, err = t.postfix(arg)
		}
		if err != nil {
			return nil, err
		}
		e.args = []expr{arg}
	case t.symbol("("):
		if e.args, err = t.until(")"); err != nil {
			return nil, err
		}
	}
	if n := len(e.args); n < f.MinArgs || n > f.MaxArgs {
		return nil, value.ErrorAt(p, "filter %q takes %s", id, f.Arity())
	}
	return e, nil
}

// until parses expressions with commas between them up to the closing symbol.
func (t *tokens) until(closing string) ([]expr, error) {
	var list []expr
	for !t.symbol(closing) {
		if len(list) > 0 && !t.symbol(",") {
			return nil, t.unexpected(", or " + closing)
		}
		e, err := t.expression()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func (t *tokens) postfix(e expr) (expr, error) {
	for {
		p := t.place()
		switch {
		case t.symbol("."):
			if tok, ok := t.accept(pongo2.TokenNumber); ok {
				e = &access{Place: p, of: e, index: &literal{placeOf(tok), value.Number(tok.Val)}}
				break
			}
			// Any word may be a member's name, a keyword as well.
			tok, ok := t.accept(pongo2.TokenIdentifier)
			if !ok {
				tok, ok = t.accept(pongo2.TokenKeyword)
			}
			if !ok {
				return nil, t.unexpected("a member's name")
			}
			e = &access{Place: placeOf(tok), of: e, key: tok.Val}
		case t.symbol("["):
			index, err := t.expression()
			if err != nil {
				return nil, err
			}
			if !t.symbol("]") {
				return nil, t.unexpected("]")
			}
			e = &access{Place: p, of: e, index: index}
		case t.peek(pongo2.TokenSymbol, "("):
			return nil, value.ErrorAt(p, "%s is called, but templates have no functions: use a filter, or {%% for key, value in object %%}", pathOf(e))
		default:
			return e, nil
		}
	}
}

func (t *tokens) primary() (expr, error) {
	p := t.place()
	if tok, ok := t.accept(pongo2.TokenString); ok {
		return &literal{p, tok.Val}, nil
	}
	if tok, ok := t.accept(pongo2.TokenNumber); ok {
		text := tok.Val
		if t.symbol(".") {
			fraction, ok := t.accept(pongo2.TokenNumber)
			if !ok {
				return nil, t.unexpected("digits")
			}
			text += "." + fraction.Val
		}
		if len(text) > 1 && text[0] == '0' && text[1] != '.' {
			return nil, value.ErrorAt(p, "a number may not begin with 0")
		}
		return &literal{p, value.Number(text)}, nil
	}
	if tok, ok := t.accept(pongo2.TokenKeyword, "true", "false"); ok {
		return &literal{p, tok.Val == "true"}, nil
	}
	if t.symbol("(") {
		e, err := t.expression()
		if err == nil && !t.symbol(")") {
			err = t.unexpected(")")
		}
		return e, err
	}
	if t.symbol("[") {
		items, err := t.until("]")
		return &listOf{p, items}, err
	}
	if !t.peek(pongo2.TokenIdentifier) {
		return nil, t.unexpected("a name, a text or a number")
	}
	id, err := t.identifier()
	if err != nil {
		return nil, err
	}
	switch id {
	case "True", "False":
		return &literal{p, id == "True"}, nil
	case "none", "None", "null", "nil":
		return &literal{p, nil}, nil
	}
	return &name{p, id}, nil
}
