package sandbox

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

func (s *scope) set(name string, v any) {
	for i := range s.names {
		if s.names[i].key == name {
			s.names[i].value = v
			return
		}
	}
	s.names = append(s.names, member{name, v})
}

// maxNames bounds the names of one scope, each of which find has to pass.
const maxNames = 256

func (b block) exec(r *Run, s *scope) error {
	for _, n := range b {
		if err := n.exec(r, s); err != nil {
			return err
		}
	}
	return nil
}

func (t text) exec(r *Run, _ *scope) error {
	if err := r.Step(value.Place{}, 1+len(t)/256); err != nil {
		return err
	}
	return r.out.Static(string(t))
}

func (n *print) exec(r *Run, s *scope) error {
	v, err := r.value(n.what, s)
	if err != nil {
		return err
	}
	if err := r.Step(n.Place, 1); err != nil {
		return err
	}
	return value.Within(n.what.At(), r.out.Value(r.Budget, v, n.path, n.what.At()))
}

func (n *branch) exec(r *Run, s *scope) error {
	for i, cond := range n.conds {
		v, err := r.value(cond, s)
		if err != nil {
			return err
		}
		if value.Truth(v) {
			return n.bodies[i].exec(r, s)
		}
	}
	if len(n.bodies) > len(n.conds) {
		return n.bodies[len(n.conds)].exec(r, s)
	}
	return nil
}

func (n *assign) exec(r *Run, s *scope) error {
	v, err := r.value(n.what, s)
	if err != nil {
		return err
	}
	if len(s.names) >= maxNames {
		return value.ErrorAt(n.Place, "more than %d names are set", maxNames)
	}
	s.set(n.name, v)
	return r.Step(n.Place, 1+len(s.names)/8)
}

func (n *with) exec(r *Run, s *scope) error {
	in := &scope{outer: s}
	for i := range n.sets {
		v, err := r.value(n.sets[i].what, s)
		if err != nil {
			return err
		}
		in.names = append(in.names, member{n.sets[i].name, v})
	}
	return n.body.exec(r, in)
}

// loop is what a template sees of the loop it is in.
type loop struct{ index, length int }

func (l *loop) get(key string) (any, bool) {
	switch key {
	case "index", "Counter":
		return value.WholeNumber(l.index + 1), true
	case "index0", "Counter0":
		return value.WholeNumber(l.index), true
	case "revindex", "Revcounter":
		return value.WholeNumber(l.length - l.index), true
	case "revindex0", "Revcounter0":
		return value.WholeNumber(l.length - l.index - 1), true
	case "first", "First":
		return l.index == 0, true
	case "last", "Last":
		return l.index == l.length-1, true
	case "length":
		return value.WholeNumber(l.length), true
	}
	return nil, false
}

func (n *forLoop) exec(r *Run, s *scope) error {
	over, err := r.value(n.over, s)
	if err != nil {
		return err
	}
	in := &scope{outer: s}
	info := &loop{}
	turn := func(key, element any) error {
		if err := r.Step(n.Place, 1); err != nil {
			return err
		}
		in.names = append(in.names[:0], member{n.key, key})
		if n.value != "" {
			in.names = append(in.names, member{n.value, element})
		}
		in.names = append(in.names, member{"loop", info}, member{"forloop", info})
		err := n.body.exec(r, in)
		info.index++
		return value.Within(n.Place, err) // of text in it
	}
	switch over := over.(type) {
	case *value.List:
		if n.value != "" {
			return value.ErrorAt(n.Place, "a loop with two names needs an object, %s is a list", pathOf(n.over))
		}
		err = r.Open(over, n.Place)
		info.length = len(over.Items)
		for i := 0; i < len(over.Items) && err == nil; i++ {
			err = turn(over.Items[i], nil)
		}
	case *value.Object:
		err = r.Open(over, n.Place)
		info.length = len(over.Members)
		for i := 0; i < len(over.Members) && err == nil; i++ {
			err = turn(over.Members[i].Key, over.Members[i].Value)
		}
	default:
		return value.ErrorAt(n.Place, "a loop needs a list or an object, %s is %s", pathOf(n.over), value.KindOf(over))
	}
	if err == nil && info.length == 0 {
		return n.none.exec(r, s)
	}
	return err
}
