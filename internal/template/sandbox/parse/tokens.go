package parse

import (
	"slices"

	"callfleet/internal/template/sandbox/token"
	"callfleet/internal/template/sandbox/tree"
	"callfleet/internal/template/sandbox/value"
)

// tokens is the code between two braces.
type tokens struct {
	*parser
	list  []token.Token
	i     int
	end   value.Place // of the closing brace
	depth int
}

const maxExprDepth = 50

// deeper counts how deep an expression is nested; shallower ends it.
func (t *tokens) deeper(at value.Place) error {
	if t.depth++; t.depth > maxExprDepth {
		return value.ErrorAt(at, "expression is nested more than %d deep", maxExprDepth)
	}
	return nil
}

func (t *tokens) shallower() { t.depth-- }

func (t *tokens) peek(kind token.Kind, vals ...string) bool {
	if t.i >= len(t.list) || t.list[t.i].Kind != kind {
		return false
	}
	return len(vals) == 0 || slices.Contains(vals, t.list[t.i].Val)
}

// accept takes the next token if it fits.
func (t *tokens) accept(kind token.Kind, vals ...string) (token.Token, bool) {
	if !t.peek(kind, vals...) {
		return token.Token{}, false
	}
	t.i++
	return t.list[t.i-1], true
}

func (t *tokens) place() value.Place {
	if t.i < len(t.list) {
		return t.list[t.i].Place
	}
	return t.end
}

func (t *tokens) symbol(vals ...string) bool {
	_, ok := t.accept(token.Symbol, vals...)
	return ok
}

func (t *tokens) word(vals ...string) bool {
	_, ok := t.accept(token.Name, vals...)
	return ok
}

// unexpected complains about the next token.
func (t *tokens) unexpected(want string) error {
	if t.i >= len(t.list) {
		return value.ErrorAt(t.end, "expected %s", want)
	}
	val := t.list[t.i].Val
	if t.list[t.i].Kind == token.Bad && val != "" { // where the lexer gave up
		val = string([]rune(val)[0])
	}
	return value.ErrorAt(t.place(), "expected %s, found %q", want, val)
}

// done complains about what is left.
func (t *tokens) done() error {
	if t.i < len(t.list) {
		return t.unexpected("the end of the tag")
	}
	return nil
}

// identifier takes a name that a template may give or use.
func (t *tokens) identifier() (string, error) {
	tok, ok := t.accept(token.Name)
	if !ok {
		return "", t.unexpected("a name")
	}
	if c := tok.Val[0]; '0' <= c && c <= '9' {
		return "", value.ErrorAt(tok.Place, "%q is neither a number nor a name", tok.Val)
	}
	return tok.Val, nil
}

// targets are the names that a loop or set gives.
func (t *tokens) targets() ([]string, error) {
	bracket := t.jinja && t.symbol("(")
	var names []string
	for {
		name, err := t.identifier()
		if err != nil {
			return nil, err
		}
		if names = append(names, name); !t.symbol(",") {
			break
		}
	}
	if bracket && !t.symbol(")") {
		return nil, t.unexpected(")")
	}
	return names, nil
}

// whole parses an expression that takes all that is left.
func (t *tokens) whole() (tree.Expr, error) {
	e, err := t.expression()
	if err == nil && t.i < len(t.list) {
		return nil, t.unexpected("the end of the expression")
	}
	return e, err
}

// wholeTuple is whole, or in Jinja2 a, b.
func (t *tokens) wholeTuple() (tree.Expr, error) {
	if !t.jinja {
		return t.whole()
	}
	e, err := t.tuple(true)
	if err == nil && t.i < len(t.list) {
		return nil, t.unexpected("the end of the expression")
	}
	return e, err
}

// tuple parses an expression, or several with commas between them.
func (t *tokens) tuple(choice bool) (tree.Expr, error) {
	p := t.place()
	parse := t.expression
	if !choice {
		parse = t.or
	}
	e, err := parse()
	if err != nil || !t.peek(token.Symbol, ",") {
		return e, err
	}
	l := &tree.ListOf{Place: p, Items: []tree.Expr{e}, Tuple: true}
	for t.symbol(",") {
		if t.i == len(t.list) || t.peek(token.Symbol, ")") || t.peek(token.Name, "if", "recursive") {
			break
		}
		if e, err = parse(); err != nil {
			return nil, err
		}
		l.Items = append(l.Items, e)
	}
	return l, nil
}
