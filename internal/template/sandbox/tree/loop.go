package tree

import (
	"unicode/utf8"

	"callfleet/internal/template/sandbox/value"
)

// loop is what a template sees of the loop it is in.
type loop struct {
	index, length int
	depth         int
	items         []any
	of            *For
	outer         *scope
	changed       any // what changed was last asked about
	asked         bool
}

// Get finds a member.
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
	case "depth":
		return value.WholeNumber(l.depth + 1), true
	case "depth0":
		return value.WholeNumber(l.depth), true
	case "previtem":
		if 0 < l.index && l.index <= len(l.items) {
			return l.items[l.index-1], true
		}
	case "nextitem":
		if l.index+1 < len(l.items) {
			return l.items[l.index+1], true
		}
	}
	return nil, false
}

func (n *For) exec(r *Run, s *scope) error {
	over, err := r.value(n.Over, s)
	if err != nil {
		return err
	}
	return n.run(r, s, over, 0)
}

func (n *For) run(r *Run, s *scope, over any, depth int) error {
	info := &loop{of: n, outer: s, depth: depth}
	in := &scope{outer: s}
	if o, ok := over.(*value.Object); ok && len(n.Names) == 2 {
		if !n.Unpack {
			return n.members(r, in, o, info)
		}
		if err := n.parts(r, o); err != nil {
			return err
		}
	}
	items, err := n.items(r, s, over)
	if err != nil {
		return err
	}
	info.items, info.length = items, len(items)
	for _, item := range items {
		if err := r.Step(n.Place, 1); err != nil {
			return err
		}
		in.names = in.names[:0]
		if len(n.Names) == 1 {
			in.names = append(in.names, member{n.Names[0], item})
		} else if err := r.unpack(n.Place, in, n.Names, item); err != nil {
			return err
		}
		if err := n.turn(r, in, info); err != nil {
			return err
		}
	}
	if info.length == 0 {
		return n.None.exec(r, s)
	}
	return nil
}

// turn runs the body once.
func (n *For) turn(r *Run, in *scope, info *loop) error {
	in.names = append(in.names, member{"loop", info})
	if !r.jinja {
		in.names = append(in.names, member{"forloop", info})
	}
	err := n.Body.exec(r, in)
	info.index++
	return value.Within(n.Place, err) // of text in it
}

// members is a loop over an object with two names.
func (n *For) members(r *Run, in *scope, o *value.Object, info *loop) error {
	if err := r.Open(o, n.Place); err != nil {
		return err
	}
	info.length = len(o.Members)
	for _, m := range o.Members {
		if err := r.Step(n.Place, 1); err != nil {
			return err
		}
		in.names = append(in.names[:0], member{n.Names[0], m.Key}, member{n.Names[1], m.Value})
		if err := n.turn(r, in, info); err != nil {
			return err
		}
	}
	if info.length == 0 {
		return n.None.exec(r, in.outer)
	}
	return nil
}

// parts checks that the names of an object can be taken apart, which is hardly
// ever meant.
func (n *For) parts(r *Run, o *value.Object) error {
	if err := r.Open(o, n.Place); err != nil {
		return err
	}
	for _, m := range o.Members {
		if utf8.RuneCountInString(m.Key) != len(n.Names) {
			return value.ErrorAt(n.Place, "a loop over an object gives its keys: write %s.items()", PathOf(n.Over))
		}
	}
	return r.Step(n.Place, 1+len(o.Members))
}

// items are what a loop goes over, without what its condition leaves out.
func (n *For) items(r *Run, s *scope, over any) ([]any, error) {
	switch over.(type) {
	case *value.List, *value.Object:
	default:
		if _, text := value.TextOf(over); !text || !r.jinja {
			return nil, value.ErrorAt(n.Place, "a loop needs a list or an object, %s is %s", PathOf(n.Over), value.KindOf(over))
		}
	}
	items, err := r.Items(over, n.Place)
	if err != nil || n.If == nil {
		return items, err
	}
	var kept []any
	for _, item := range items {
		in := &scope{outer: s}
		if len(n.Names) == 1 {
			in.names = append(in.names, member{n.Names[0], item})
		} else if err := r.unpack(n.Place, in, n.Names, item); err != nil {
			return nil, err
		}
		keep, err := r.value(n.If, in)
		if err != nil {
			return nil, err
		}
		if value.Truth(keep) {
			kept = append(kept, item)
		}
		if err := r.Step(n.Place, 1); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// call is cycle and changed.
func (l *loop) call(r *Run, at value.Place, name string, args []any) (any, error) {
	switch {
	case name == "cycle" && len(args) > 0:
		return args[l.index%len(args)], nil
	case name == "changed":
		now := any(&value.List{Items: args})
		if l.asked {
			same, err := r.Equal(l.changed, now, at, 0)
			if err != nil || same {
				return false, err
			}
		}
		l.changed, l.asked = now, true
		return true, nil
	}
	return nil, value.ErrorAt(at, "loop.%s cannot be called so", name)
}
