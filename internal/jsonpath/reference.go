package jsonpath

import (
	"fmt"

	"callfleet/internal/jsonpath/value"
)

// Reference is a path that names one place, whether or not anything is there:
// what a state may write its result to.
type Reference struct{ path *Path }

// Conflict says why a value cannot be put where a reference points.
type Conflict struct {
	Step  string // the name or index that does not apply
	Input value.Value
}

// Error words the conflict as AWS does.
func (e *Conflict) Error() string {
	return fmt.Sprintf("Unable to apply step \"%s\" to input %s", e.Step, e.Input.JSON())
}

// CompileReference compiles a path of single names and indexes only.
func CompileReference(text string) (*Reference, error) {
	p, err := Compile(text)
	if err != nil {
		return nil, err
	}
	for _, s := range p.segments {
		if s.kind == property || s.kind == element && s.indexes[0] >= 0 {
			continue
		}
		return nil, &SyntaxError{Path: text, Reason: "a reference path has only names and indexes"}
	}
	if p.call != nil {
		return nil, &SyntaxError{Path: text, Reason: "a reference path has no functions"}
	}
	return &Reference{p}, nil
}

// String returns the path as it was written.
func (r *Reference) String() string { return r.path.text }

// Set returns root with v at the place the reference names, making the objects
// on the way there. An index must exist already. Unless v replaces the root, the
// result is compact. The error is a *Conflict.
func (r *Reference) Set(root, v value.Value) (value.Value, error) {
	out, err := set(r.path.segments, root, root, v)
	if err != nil || r.path.IsRoot() {
		return out, err
	}
	return out.Compact(), nil
}

func set(segments []segment, input, at, v value.Value) (value.Value, error) {
	if len(segments) == 0 {
		return v, nil
	}
	s := &segments[0]
	if s.kind == element {
		i := s.indexes[0]
		if at.Kind() != value.KindArray || i >= at.Len() {
			return value.Value{}, &Conflict{Step: fmt.Sprint(i), Input: input}
		}
		inner, err := set(segments[1:], input, at.Index(i), v)
		if err != nil {
			return value.Value{}, err
		}
		list := append([]value.Value(nil), at.Elements()...)
		list[i] = inner
		return value.Array(list...), nil
	}
	if !at.IsAbsent() && at.Kind() != value.KindObject {
		return value.Value{}, &Conflict{Step: s.names[0], Input: input}
	}
	inner, err := set(segments[1:], input, at.Get(s.names[0]), v)
	if err != nil {
		return value.Value{}, err
	}
	return at.With(s.names[0], inner), nil
}

// Get evaluates the path like Eval, but where a definite path leads nowhere the
// error is a *Conflict.
func (p *Path) Get(root value.Value) (value.Value, error) {
	if !p.definite || p.call != nil {
		return p.Eval(root)
	}
	v, at, ok := p.follow(root)
	if ok {
		return v, nil
	}
	step := p.segments[at]
	if step.kind == element {
		return value.Value{}, &Conflict{Step: fmt.Sprint(step.indexes[0]), Input: root}
	}
	return value.Value{}, &Conflict{Step: step.names[0], Input: root}
}
