package tree

import (
	"callfleet/internal/template/sandbox/value"
)

type member struct {
	key   string
	value any
}

// scope holds the names that set, with and for give.
type scope struct {
	outer *scope
	names []member
}

// find looks from the inside out; a nil scope has no names.
func (s *scope) find(name string) (any, bool) {
	for ; s != nil; s = s.outer {
		for i := range s.names {
			if s.names[i].key == name {
				return s.names[i].value, true
			}
		}
	}
	return nil, false
}

// maxNames bounds the names of one scope, each of which find has to pass.
const maxNames = 256

func (s *scope) set(at value.Place, name string, v any) error {
	for i := range s.names {
		if s.names[i].key == name {
			s.names[i].value = v
			return nil
		}
	}
	if len(s.names) >= maxNames {
		return value.ErrorAt(at, "more than %d names are set", maxNames)
	}
	s.names = append(s.names, member{name, v})
	return nil
}

func (b Block) exec(r *Run, s *scope) error {
	for _, n := range b {
		if err := n.exec(r, s); err != nil {
			return err
		}
	}
	return nil
}

func (t Text) exec(r *Run, _ *scope) error {
	if err := r.Step(value.Place{}, 1+len(t)/256); err != nil {
		return err
	}
	return r.out.Static(string(t))
}

func (n *Print) exec(r *Run, s *scope) error {
	if call, ok := n.What.(*Call); ok {
		if done, err := call.inline(r, s); done || err != nil {
			return err
		}
	}
	v, err := r.value(n.What, s)
	if err != nil {
		return err
	}
	if err := r.Step(n.Place, 1); err != nil {
		return err
	}
	return value.Within(n.What.At(), r.out.Value(r.Budget, v, n.Path, n.What.At()))
}

func (n *Branch) exec(r *Run, s *scope) error {
	for i, cond := range n.Conds {
		v, err := r.value(cond, s)
		if err != nil {
			return err
		}
		if value.Truth(v) {
			return n.Bodies[i].exec(r, s)
		}
	}
	if len(n.Bodies) > len(n.Conds) {
		return n.Bodies[len(n.Conds)].exec(r, s)
	}
	return nil
}

func (n *Assign) exec(r *Run, s *scope) error {
	v, err := r.value(n.What, s)
	if err != nil {
		return err
	}
	if n.Member != "" {
		space, _ := s.find(n.Names[0])
		object, ok := space.(*value.Namespace)
		if !ok {
			return value.ErrorAt(n.Place, "%s is no namespace", n.Names[0])
		}
		if len(object.Members) >= maxNames {
			return value.ErrorAt(n.Place, "more than %d names are set", maxNames)
		}
		object.Set(n.Member, v)
		return r.Step(n.Place, 1+len(object.Members)/8)
	}
	if err := n.bind(r, s, v); err != nil {
		return err
	}
	return r.Step(n.Place, 1+len(s.names)/8)
}

func (n *Assign) bind(r *Run, s *scope, v any) error {
	if len(n.Names) == 1 {
		return s.set(n.Place, n.Names[0], v)
	}
	return r.unpack(n.Place, s, n.Names, v)
}

// unpack sets names to the items of a value, which must be as many.
func (r *Run) unpack(at value.Place, s *scope, names []string, v any) error {
	items, err := r.Items(v, at)
	if err != nil {
		return err
	}
	if len(items) != len(names) {
		return value.ErrorAt(at, "%d names are set, the value has %d items", len(names), len(items))
	}
	for i, name := range names {
		if err := s.set(at, name, items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n *With) exec(r *Run, s *scope) error {
	in := &scope{outer: s}
	for i := range n.Sets {
		v, err := r.value(n.Sets[i].What, s)
		if err != nil {
			return err
		}
		if err := n.Sets[i].bind(r, in, v); err != nil {
			return err
		}
	}
	return n.Body.exec(r, in)
}

func (n *Scope) exec(r *Run, s *scope) error { return n.Body.exec(r, &scope{outer: s}) }

func (n *Capture) exec(r *Run, s *scope) error {
	text, err := r.capture(n.Body, &scope{outer: s})
	if err != nil {
		return err
	}
	var v any = text
	if n.Apply != nil {
		if v, err = r.value(n.Apply, &scope{outer: s, names: []member{{captured, text}}}); err != nil {
			return err
		}
	}
	if n.Name != "" {
		return s.set(n.Place, n.Name, v)
	}
	return value.Within(n.Place, r.out.Value(r.Budget, v, "the text", n.Place))
}

// captured is a name that no template can write.
const captured = "{%"

func (e *Captured) eval(_ *Run, s *scope) (any, error) {
	v, _ := s.find(captured)
	return v, nil
}
