package tree

import (
	"fmt"
	"slices"
	"strings"

	"callfleet/internal/template/sandbox/filter"
	"callfleet/internal/template/sandbox/value"
)

func (e *Literal) eval(*Run, *scope) (any, error) { return e.Value, nil }

func (e *Secret) eval(*Run, *scope) (any, error) { return e.Mark, nil }

func (e *Name) eval(r *Run, s *scope) (any, error) {
	if err := r.Step(e.Place, 1); err != nil {
		return nil, err
	}
	if v, ok := s.find(e.Name); ok {
		return v, nil
	}
	if v, ok := r.params.Root.Get(e.Name); ok {
		return v, nil
	}
	switch {
	case e.Name == "params":
		return r.params.Root, nil
	case e.Null:
		return nil, nil
	}
	return value.Undefined{Path: e.Name}, nil
}

func (e *Access) eval(r *Run, s *scope) (any, error) {
	of, err := e.Of.eval(r, s)
	if err != nil {
		return nil, err
	}
	if missing, ok := of.(value.Undefined); ok {
		if r.jinja {
			return nil, missing.MissingAt(e.Of.At())
		}
		return missing, nil // the first name that is missing is the one to tell
	}
	var index any = e.Key
	if e.Index != nil {
		if index, err = r.value(e.Index, s); err != nil {
			return nil, err
		}
	}
	switch of := of.(type) {
	case *value.Object, *value.List:
		if err := r.Open(of, e.Place); err != nil {
			return nil, err
		}
	case *loop:
		if v, ok := of.get(e.Key); ok {
			return v, nil
		}
	}
	if _, ok := of.(*value.Object); ok && r.jinja && e.Index == nil && slices.Contains(OfObject, e.Key) {
		return value.Undefined{Path: PathOf(e), Python: true, Reason: fmt.Sprintf("it is a method: the member is %s[%q]", PathOf(e.Of), e.Key)}, nil
	}
	v, found, short := value.Lookup(of, index)
	switch {
	case found:
		return v, r.Step(e.Place, 1)
	case short:
		return value.Undefined{Path: PathOf(e), Reason: "the list is shorter"}, nil
	}
	missing := value.Undefined{Path: PathOf(e), Reason: PathOf(e.Of) + " is " + value.KindOf(of)}
	key, named := index.(string)
	if _, ok := of.(*value.Object); ok && named {
		missing.Reason = ""
	}
	missing.Python = named && inPython(of, key)
	return missing, nil
}

func (e *Slice) eval(r *Run, s *scope) (any, error) {
	of, err := r.value(e.Of, s)
	if err != nil {
		return nil, err
	}
	var bounds [3]*int64
	for i, b := range []Expr{e.Low, e.High, e.Step} {
		if b == nil {
			continue
		}
		v, err := r.value(b, s)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		n, ok := value.Integer(v)
		if !ok {
			return nil, value.ErrorAt(b.At(), "a slice needs whole numbers, this is %s", value.KindOf(v))
		}
		bounds[i] = &n
	}
	return r.Slice(of, bounds, e.Place)
}

func (e *ListOf) eval(r *Run, s *scope) (any, error) {
	l := &value.List{Items: make([]any, 0, len(e.Items)), Tuple: e.Tuple}
	for _, item := range e.Items {
		v, err := r.value(item, s)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, v)
	}
	return l, r.Step(e.Place, 1+len(l.Items))
}

func (e *ObjectOf) eval(r *Run, s *scope) (any, error) {
	o := value.NewObject(nil)
	for i := range e.Keys {
		k, err := r.value(e.Keys[i], s)
		if err != nil {
			return nil, err
		}
		key, ok := value.TextOf(k)
		if !ok {
			return nil, value.ErrorAt(e.Keys[i].At(), "the name of a member must be a text, this is %s", value.KindOf(k))
		}
		v, err := r.value(e.Values[i], s)
		if err != nil {
			return nil, err
		}
		o.Set(key, v)
		if err := r.Step(e.Place, 1+len(o.Members)); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (e *Apply) eval(r *Run, s *scope) (any, error) {
	of, err := e.Of.eval(r, s)
	if err != nil {
		return nil, err
	}
	if missing, ok := of.(value.Undefined); ok && (!e.Filter.TakesUndefined || missing.Python) {
		if !missing.Soft {
			return nil, missing.MissingAt(e.Of.At())
		}
		of = ""
	}
	return r.apply(e, of, s)
}

// apply runs a filter, a test, a method or a function.
func (r *Run) apply(e *Apply, of any, s *scope) (any, error) {
	c := filter.Call{Budget: r.Budget, Place: e.Place, Path: e.Path, Of: of}
	for _, arg := range e.Args.Args {
		v, err := r.value(arg, s)
		if err != nil {
			return nil, err
		}
		c.Args = append(c.Args, v)
	}
	if len(e.Named) > 0 {
		c.Named = &filter.Named{Filter: e.Filter}
	}
	for _, arg := range e.Named {
		v, err := r.value(arg.Value, s)
		if err != nil {
			return nil, err
		}
		c.Named.List = append(c.Named.List, value.Member{Key: arg.Name, Value: v})
	}
	if err := r.Step(e.Place, 1); err != nil {
		return nil, err
	}
	return e.Filter.Apply(&c)
}

func (e *Unary) eval(r *Run, s *scope) (any, error) {
	v, err := r.value(e.Of, s)
	if err != nil {
		return nil, err
	}
	if e.Op == "not" {
		return !value.Truth(v), nil
	}
	n, ok := value.NumberOf(v)
	if !ok {
		return nil, value.ErrorAt(e.Place, "%s needs a number, %s is %s", e.Op, PathOf(e.Of), value.KindOf(v))
	}
	if e.Op == "+" || n == "0" {
		return n, nil
	}
	if rest, ok := strings.CutPrefix(string(n), "-"); ok {
		return value.Number(rest), nil
	}
	return "-" + n, nil
}

func (e *Defined) eval(r *Run, s *scope) (any, error) {
	v, err := e.Of.eval(r, s)
	if err != nil {
		return nil, err
	}
	u, missing := v.(value.Undefined)
	return (missing && !u.Python) == e.Negate, nil
}

func (e *Choice) eval(r *Run, s *scope) (any, error) {
	cond, err := r.value(e.Cond, s)
	if err != nil {
		return nil, err
	}
	if value.Truth(cond) {
		return e.Then.eval(r, s)
	}
	if e.Other == nil {
		return value.Undefined{Path: "the value", Soft: true}, nil
	}
	return e.Other.eval(r, s)
}

func (e *Binary) eval(r *Run, s *scope) (any, error) {
	left, err := r.value(e.Left, s)
	if err != nil {
		return nil, err
	}
	switch {
	case e.Op == "and" && !value.Truth(left), e.Op == "or" && value.Truth(left):
		return left, nil
	case e.Op == "and", e.Op == "or":
		return r.value(e.Right, s)
	}
	right, err := r.value(e.Right, s)
	if err != nil {
		return nil, err
	}
	if err := r.Step(e.Place, 1); err != nil {
		return nil, err
	}
	return r.operate(e.Op, left, right, e.Place)
}

func (r *Run) operate(op string, left, right any, at value.Place) (any, error) {
	switch op {
	case "==", "!=":
		same, err := r.Equal(left, right, at, 0)
		return same == (op == "=="), err
	case "in":
		return r.In(left, right, at)
	case "not in":
		found, err := r.In(left, right, at)
		return found == false, err
	case "<", "<=", ">", ">=":
		order, err := value.Compare(op, left, right, at)
		if err != nil {
			return nil, err
		}
		return order < 0 && op[0] == '<' || order > 0 && op[0] == '>' || order == 0 && len(op) == 2, nil
	case "~":
		return r.Concat(left, right, at)
	}
	return r.Arithmetic(op, left, right, at)
}

func (e *Chain) eval(r *Run, s *scope) (any, error) {
	left, err := r.value(e.Operands[0], s)
	if err != nil {
		return nil, err
	}
	for i, op := range e.Ops {
		right, err := r.value(e.Operands[i+1], s)
		if err != nil {
			return nil, err
		}
		if err := r.Step(e.Place, 1); err != nil {
			return nil, err
		}
		holds, err := r.operate(op, left, right, e.Place)
		if err != nil || holds == false {
			return false, err
		}
		left = right
	}
	return true, nil
}
