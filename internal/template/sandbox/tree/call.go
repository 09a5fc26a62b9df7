package tree

import (
	"callfleet/internal/template/sandbox/value"
)

// macro is a MacroOf and where it was written.
type macro struct {
	*MacroOf
	outer  *scope
	caller *macro
}

// maxCalls bounds macros in macros: Go's stack has an end that kills.
const maxCalls = 100

func (n *MacroOf) exec(r *Run, s *scope) error {
	if err := s.set(n.Place, n.Name, &macro{MacroOf: n, outer: s}); err != nil {
		return err
	}
	return r.Step(n.Place, 1)
}

func (n *CallBlock) exec(r *Run, s *scope) error {
	callee, ok := s.find(n.What.Name)
	m, isMacro := callee.(*macro)
	if !ok || !isMacro {
		return value.ErrorAt(n.Place, "%s is no macro", n.What.Name)
	}
	with := *m
	with.caller = &macro{MacroOf: n.Caller, outer: s}
	return with.run(r, s, n.What)
}

// inline runs a macro or a recursive loop in the place where it is printed, so
// that what it prints is escaped for that place.
func (e *Call) inline(r *Run, s *scope) (done bool, err error) {
	callee, _ := s.find(e.Name)
	switch c := callee.(type) {
	case *macro:
		return true, c.run(r, s, e)
	case *loop:
		over, err := e.recursion(r, s, c)
		if err != nil {
			return true, err
		}
		return true, r.nested(e.Place, func() error { return c.of.run(r, c.outer, over, c.depth+1) })
	}
	return false, nil
}

func (e *Call) recursion(r *Run, s *scope, l *loop) (any, error) {
	if !l.of.Recursive || len(e.Args.Args) != 1 || len(e.Named) > 0 {
		return nil, value.ErrorAt(e.Place, "loop(…) takes a list, in a loop that is marked recursive")
	}
	return r.value(e.Args.Args[0], s)
}

// nested counts what calls itself.
func (r *Run) nested(at value.Place, f func() error) error {
	if r.calls++; r.calls > maxCalls {
		return value.ErrorAt(at, "calls are nested more than %d deep", maxCalls)
	}
	defer func() { r.calls-- }()
	if err := r.Step(at, 1); err != nil {
		return err
	}
	return f()
}

// run calls the macro; its defaults may call it as well.
func (m *macro) run(r *Run, s *scope, call *Call) error {
	return r.nested(call.Place, func() error {
		in, err := m.bind(r, s, call)
		if err != nil {
			return err
		}
		return m.Body.exec(r, in)
	})
}

// bind gives the params of a macro their values.
func (m *macro) bind(r *Run, s *scope, call *Call) (*scope, error) {
	in := &scope{outer: m.outer}
	if m.caller != nil {
		in.names = append(in.names, member{"caller", m.caller})
	}
	if len(call.Args.Args) > len(m.Params) {
		return nil, value.ErrorAt(call.Place, "%s takes %d arguments", call.Name, len(m.Params))
	}
	given := map[string]any{}
	for i, arg := range call.Args.Args {
		v, err := r.value(arg, s)
		if err != nil {
			return nil, err
		}
		given[m.Params[i]] = v
	}
	for _, arg := range call.Named {
		if _, twice := given[arg.Name]; twice {
			return nil, value.ErrorAt(call.Place, "%s gets %s twice", call.Name, arg.Name)
		}
		v, err := r.value(arg.Value, s)
		if err != nil {
			return nil, err
		}
		given[arg.Name] = v
	}
	for i, name := range m.Params {
		v, ok := given[name]
		delete(given, name)
		if !ok {
			v = value.Undefined{Path: name, Reason: "the macro's parameter has no value"}
			if k := i - (len(m.Params) - len(m.Defaults)); k >= 0 {
				var err error
				if v, err = m.Defaults[k].eval(r, in); err != nil {
					return nil, err
				}
			}
		}
		if err := in.set(call.Place, name, v); err != nil {
			return nil, err
		}
	}
	for name := range given {
		return nil, value.ErrorAt(call.Place, "%s has no parameter %s", call.Name, name)
	}
	return in, nil
}

func (e *Call) eval(r *Run, s *scope) (any, error) {
	callee, ok := s.find(e.Name)
	switch c := callee.(type) {
	case *macro, *loop:
		var text string
		text, err := r.capture(Block{&Print{Place: e.Place, What: e}}, s)
		return text, err
	case value.Callable:
		args, err := e.values(r, s)
		if err != nil {
			return nil, err
		}
		return c.Call(r.Budget, e.Place, args)
	}
	if ok || e.Filter == nil {
		return nil, value.ErrorAt(e.Place, "%s cannot be called", e.Name)
	}
	return r.apply(&Apply{Place: e.Place, Path: e.Name, Filter: e.Filter, Args: e.Args}, nil, s)
}

// values evaluates the arguments that have no name.
func (a *Args) values(r *Run, s *scope) ([]any, error) {
	list := make([]any, 0, len(a.Args))
	for _, arg := range a.Args {
		v, err := r.value(arg, s)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (e *Method) eval(r *Run, s *scope) (any, error) {
	of, err := r.value(e.Of, s)
	if err != nil {
		return nil, err
	}
	switch of := of.(type) {
	case *loop:
		args, err := e.values(r, s)
		if err != nil {
			return nil, err
		}
		return of.call(r, e.Place, e.Member, args)
	case value.Callable:
		args, err := e.values(r, s)
		if err != nil {
			return nil, err
		}
		if e.Member == "next" {
			return of.Call(r.Budget, e.Place, args)
		}
	}
	if e.Filter == nil {
		return nil, value.ErrorAt(e.Place, "%s has no method %s", PathOf(e.Of), e.Member)
	}
	return r.apply(&Apply{Place: e.Place, Path: PathOf(e.Of), Filter: e.Filter, Args: e.Args}, of, s)
}
