package sandbox

import (
	"strings"

	"callfleet/internal/template/sandbox/filter"
	"callfleet/internal/template/sandbox/value"
)

func (e *literal) eval(*Run, *scope) (any, error) { return e.value, nil }

func (e *name) eval(r *Run, s *scope) (any, error) {
	if err := r.Step(e.Place, 1); err != nil {
		return nil, err
	}
	if v, ok := s.find(e.name); ok {
		return v, nil
	}
	if v, ok := r.params.Root.Get(e.name); ok {
		return v, nil
	}
	if e.name == "params" {
		return r.params.Root, nil
	}
	return value.Undefined{Path: e.name}, nil
}

func (e *access) eval(r *Run, s *scope) (any, error) {
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	if missing, ok := of.(value.Undefined); ok {
		return missing, nil // the first name that is missing is the one to tell
	}
	var index any = e.key
	if e.index != nil {
		if index, err = r.value(e.index, s); err != nil {
			return nil, err
		}
	}
	switch of := of.(type) {
	case *value.Object:
		key, ok := index.(string)
		if !ok {
			break
		}
		if err := r.Open(of, e.Place); err != nil {
			return nil, err
		}
		if v, ok := of.Get(key); ok {
			return v, nil
		}
		return value.Undefined{Path: pathOf(e)}, nil
	case *value.List:
		n, ok := value.Integer(index)
		if !ok {
			break
		}
		if err := r.Open(of, e.Place); err != nil {
			return nil, err
		}
		if 0 <= n && n < int64(len(of.Items)) {
			return of.Items[n], nil
		}
		return value.Undefined{Path: pathOf(e), Reason: "the list is shorter"}, nil
	case *loop:
		if v, ok := of.get(e.key); ok {
			return v, nil
		}
	}
	return value.Undefined{Path: pathOf(e), Reason: pathOf(e.of) + " is " + value.KindOf(of)}, nil
}

func (e *listOf) eval(r *Run, s *scope) (any, error) {
	l := &value.List{Items: make([]any, 0, len(e.items))}
	for _, item := range e.items {
		v, err := r.value(item, s)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
	}
	return l, r.Step(e.Place, 1+len(l.Items))
}

func (e *filtered) eval(r *Run, s *scope) (any, error) {
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	c := filter.Call{Budget: r.Budget, Place: e.Place, Path: e.path, Of: of}
	if missing, ok := of.(value.Undefined); ok && !e.filter.TakesUndefined {
		return nil, missing.MissingAt(e.of.At())
	}
	for _, arg := range e.args {
		v, err := r.value(arg, s)
		if err != nil {
			return nil, err
		}
		c.Args = append(c.Args, v)
	}
	if err := r.Step(e.Place, 1); err != nil {
		return nil, err
	}
	return e.filter.Apply(&c)
}

func (e *unary) eval(r *Run, s *scope) (any, error) {
	v, err := r.value(e.of, s)
	if err != nil {
		return nil, err
	}
	if e.op == "not" {
		return !value.Truth(v), nil
	}
	n, ok := v.(value.Number)
	if !ok {
		return nil, value.ErrorAt(e.Place, "- needs a number, %s is %s", pathOf(e.of), value.KindOf(v))
	}
	if rest, ok := strings.CutPrefix(string(n), "-"); ok {
		return value.Number(rest), nil
	}
	return "-" + n, nil
}

func (e *test) eval(r *Run, s *scope) (any, error) {
	v, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	missing, isMissing := v.(value.Undefined)
	if e.what == "defined" {
		return isMissing == e.negate, nil
	}
	if isMissing {
		return nil, missing.MissingAt(e.of.At())
	}
	return (v == nil) != e.negate, nil
}

func (e *choice) eval(r *Run, s *scope) (any, error) {
	cond, err := r.value(e.cond, s)
	if err != nil {
		return nil, err
	}
	if value.Truth(cond) {
		return e.then.eval(r, s)
	}
	return e.other.eval(r, s)
}

func (e *binary) eval(r *Run, s *scope) (any, error) {
	left, err := r.value(e.left, s)
	if err != nil {
		return nil, err
	}
	switch {
	case e.op == "and" && !value.Truth(left), e.op == "or" && value.Truth(left):
		return left, nil
	case e.op == "and", e.op == "or":
		return r.value(e.right, s)
	}
	right, err := r.value(e.right, s)
	if err != nil {
		return nil, err
	}
	if err := r.Step(e.Place, 1); err != nil {
		return nil, err
	}
	switch e.op {
	case "==", "!=":
		same, err := r.Equal(left, right, e.Place, 0)
		return same == (e.op == "=="), err
	case "in":
		return r.In(left, right, e.Place)
	case "<", "<=", ">", ">=":
		order, err := value.Compare(e.op, left, right, e.Place)
		if err != nil {
			return nil, err
		}
		return order < 0 && e.op[0] == '<' || order > 0 && e.op[0] == '>' || order == 0 && len(e.op) == 2, nil
	}
	return r.Arithmetic(e.op, left, right, e.Place)
}
