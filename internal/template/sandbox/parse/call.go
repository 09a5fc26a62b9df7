package parse

import (
	"slices"

	"callfleet/internal/template/sandbox/filter"
	"callfleet/internal/template/sandbox/method"
	"callfleet/internal/template/sandbox/token"
	"callfleet/internal/template/sandbox/tree"
	"callfleet/internal/template/sandbox/value"
)

func (t *tokens) filter(of tree.Expr) (tree.Expr, error) {
	p := t.place()
	id, err := t.identifier()
	if err != nil {
		return nil, err
	}
	if id == "secret" {
		return t.secret(of, p)
	}
	var f *filter.Filter
	if t.jinja {
		f = filter.Jinja(id)
	}
	if f == nil {
		f = filter.Lookup(id)
	}
	if f == nil {
		return nil, value.ErrorAt(p, "there is no filter %q", id)
	}
	e := &tree.Apply{Place: p, Of: of, Path: tree.PathOf(of), Filter: f}
	if f.TakesUndefined {
		t.asks(of)
	}
	switch {
	case !t.jinja && t.symbol(":"):
		arg, err := t.primary()
		if err == nil {
			arg, err = t.postfix(arg)
		}
		if err != nil {
			return nil, err
		}
		e.Args.Args = []tree.Expr{arg}
	case t.symbol("("):
		if e.Args, err = t.arguments(); err != nil {
			return nil, err
		}
	}
	if err := takes(p, f, "filter", id, &e.Args); err != nil {
		return nil, err
	}
	switch id {
	case "tojson":
		return &tree.ToJSON{Apply: e}, nil
	case "hmac_sha256":
		return e, t.key(e)
	}
	return e, nil
}

func takes(p value.Place, f *filter.Filter, kind, id string, args *tree.Args) error {
	var names []string
	for _, n := range args.Named {
		if slices.Contains(names, n.Name) {
			return value.ErrorAt(p, "%s %q gets %q twice", kind, id, n.Name)
		}
		names = append(names, n.Name)
	}
	if f.MaxArgs < 0 {
		if len(args.Args)+len(names) < f.MinArgs {
			return value.ErrorAt(p, "%s %q takes %s", kind, id, f.Arity())
		}
		return nil
	}
	if wrong := f.Takes(len(args.Args), names); wrong != "" {
		return value.ErrorAt(p, "%s %q %s", kind, id, wrong)
	}
	return nil
}

// asks marks a name that may be missing.
func (t *tokens) asks(of tree.Expr) {
	for {
		switch e := of.(type) {
		case *tree.Access:
			of = e.Of
			continue
		case *tree.Name:
			for i := range t.uses {
				if t.uses[i].Place == e.Place {
					t.uses[i].Asks = true
				}
			}
		}
		return
	}
}

// key refuses a key in the template's own text.
func (t *tokens) key(e *tree.Apply) error {
	key := e.Named
	if len(e.Args.Args) > 0 {
		key = []tree.NamedArg{{Value: e.Args.Args[0]}}
	}
	for _, k := range key {
		if _, literal := k.Value.(*tree.Literal); literal && k.Name != "encoding" {
			return value.ErrorAt(k.Value.At(), "a key in a template is a key in clear text: give it as a param")
		}
		if k.Name != "encoding" {
			t.keys = append(t.keys, Use{Place: k.Value.At(), Path: []string{tree.PathOf(k.Value)}})
		}
	}
	return nil
}

// arguments reads up to the closing bracket.
func (t *tokens) arguments() (tree.Args, error) {
	var a tree.Args
	for first := true; !t.symbol(")"); first = false {
		if !first && !t.symbol(",") {
			return a, t.unexpected(", or )")
		}
		if t.jinja && !first && t.symbol(")") {
			break
		}
		name := ""
		if t.jinja && t.peek(token.Name) && t.i+1 < len(t.list) && t.list[t.i+1].Kind == token.Symbol && t.list[t.i+1].Val == "=" {
			name = t.list[t.i].Val
			t.i += 2
		}
		e, err := t.expression()
		switch {
		case err != nil:
			return a, err
		case name != "":
			a.Named = append(a.Named, tree.NamedArg{Name: name, Value: e})
		case len(a.Named) > 0:
			return a, value.ErrorAt(e.At(), "an argument without a name follows one that has one")
		default:
			a.Args = append(a.Args, e)
		}
	}
	return a, nil
}

// call reads the arguments of a function or a method.
func (t *tokens) call(of tree.Expr, p value.Place) (tree.Expr, error) {
	switch of := of.(type) {
	case *tree.Name:
		return t.function(of, p)
	case *tree.Access:
		if of.Index == nil && (t.jinja || of.Key == "items") {
			return t.method(of)
		}
	}
	return nil, value.ErrorAt(p, noFunctions, tree.PathOf(of))
}

func (t *tokens) function(of *tree.Name, p value.Place) (tree.Expr, error) {
	t.symbol("(")
	args, err := t.arguments()
	if err != nil {
		return nil, err
	}
	call := &tree.Call{Place: of.Place, Name: of.Name, Args: args}
	f := filter.Function(of.Name)
	if t.jinja {
		f = method.Function(of.Name)
	}
	if f == nil {
		if !t.jinja {
			return nil, t.noFunction(Use{Place: p, Path: []string{of.Name}})
		}
		t.calls = append(t.calls, Use{Place: of.Place, Path: []string{of.Name}})
		return call, nil
	}
	call.Filter = f
	return call, takes(of.Place, f, "function", of.Name, &args)
}

func (t *tokens) method(of *tree.Access) (tree.Expr, error) {
	t.symbol("(")
	args, err := t.arguments()
	if err != nil {
		return nil, err
	}
	m := &tree.Method{Place: of.Place, Of: of.Of, Member: of.Key, Filter: method.Lookup(of.Key), Args: args}
	if m.Filter == nil {
		if of.Key == "cycle" || of.Key == "changed" || of.Key == "next" {
			return m, nil
		}
		return nil, value.ErrorAt(of.Place, "there is no method %q", of.Key)
	}
	return m, takes(of.Place, m.Filter, "method", of.Key, &args)
}

func (t *tokens) test(of tree.Expr, p value.Place) (tree.Expr, error) {
	_, negate := t.accept(token.Keyword, "not")
	tok, ok := t.accept(token.Name)
	if !ok && t.jinja {
		tok, ok = t.accept(token.Keyword, "in", "true", "false")
	}
	if !ok || !t.jinja && !slices.Contains([]string{"defined", "undefined", "none", "None"}, tok.Val) {
		if ok {
			t.i--
		}
		return nil, t.unexpected("defined, undefined or none")
	}
	switch tok.Val {
	case "defined", "undefined":
		t.asks(of)
		return &tree.Defined{Place: p, Of: of, Negate: negate == (tok.Val == "defined")}, nil
	case "None":
		tok.Val = "none"
	}
	f := filter.Test(tok.Val)
	if f == nil {
		return nil, value.ErrorAt(tok.Place, "there is no test %q", tok.Val)
	}
	e := &tree.Apply{Place: p, Of: of, Path: tree.PathOf(of), Filter: f}
	if err := t.testArguments(e); err != nil {
		return nil, err
	}
	if err := takes(tok.Place, f, "test", tok.Val, &e.Args); err != nil {
		return nil, err
	}
	if negate {
		return &tree.Unary{Place: p, Op: "not", Of: e}, nil
	}
	return e, nil
}

// testArguments are in brackets, or one value without.
func (t *tokens) testArguments(e *tree.Apply) error {
	if !t.jinja {
		return nil
	}
	var err error
	switch {
	case t.symbol("("):
		e.Args, err = t.arguments()
	case t.peek(token.String), t.peek(token.Number), t.peek(token.Symbol, "[", "{"), t.peek(token.Keyword, "true", "false"),
		t.peek(token.Name) && !t.peek(token.Name, "else", "is", "if", "recursive"):
		var arg tree.Expr
		if arg, err = t.primary(); err == nil {
			arg, err = t.postfix(arg)
		}
		e.Args.Args = []tree.Expr{arg}
	}
	return err
}
