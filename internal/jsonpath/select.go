package jsonpath

import (
	"errors"

	"callfleet/internal/jsonpath/value"
)

const (
	// maxVisits bounds the work of one evaluation: "$..*..*..*" would else be
	// exponential. It is far above what a payload of AWS's size needs.
	maxVisits = 1 << 20
	// MaxBytes bounds the size of a selected list; AWS's limit on a payload is
	// a quarter of it.
	MaxBytes = 1 << 20
)

// ErrTooLarge is the error of an evaluation that selects or visits too much.
var ErrTooLarge = errors.New("the path selects too much")

// selection collects what a path that is not definite selects.
type selection struct {
	root   value.Value
	out    []value.Value
	bytes  int
	visits int
}

func (p *Path) evalList(root value.Value) (value.Value, error) {
	s := selection{root: root}
	if err := s.walk(p.segments, root); err != nil {
		return value.Value{}, err
	}
	list := value.Array(s.out...)
	if p.call != nil {
		return p.call(list)
	}
	return list, nil
}

func (s *selection) visit() error {
	if s.visits++; s.visits > maxVisits {
		return ErrTooLarge
	}
	return nil
}

// walk applies the segments to v and collects where they end. What does not
// apply is left out.
func (s *selection) walk(segments []segment, v value.Value) error {
	if err := s.visit(); err != nil {
		return err
	}
	if len(segments) == 0 {
		v = v.Compact()
		if s.bytes += v.Size() + 1; s.bytes > MaxBytes {
			return ErrTooLarge
		}
		s.out = append(s.out, v)
		return nil
	}
	first, rest := &segments[0], segments[1:]
	switch first.kind {
	case properties:
		if len(rest) > 0 {
			for _, name := range first.names {
				if err := s.walkPresent(rest, v.Get(name)); err != nil {
					return err
				}
			}
			return nil
		}
		fallthrough
	case property, element:
		next, ok := first.only(v)
		if !ok {
			return nil
		}
		return s.walk(rest, next)
	case elements:
		for _, i := range first.indexes {
			if err := s.walkPresent(rest, v.Index(position(i, v.Len()))); err != nil {
				return err
			}
		}
		return nil
	case slicing:
		return s.walkSlice(first.slice, rest, v)
	case wildcard:
		return s.walkChildren(rest, v)
	case filtering:
		return s.walkFilter(first.filter, rest, v)
	default:
		return s.descend(rest, v)
	}
}

func (s *selection) walkPresent(segments []segment, v value.Value) error {
	if v.IsAbsent() {
		return nil
	}
	return s.walk(segments, v)
}

func (s *selection) walkChildren(segments []segment, v value.Value) error {
	for _, e := range v.Elements() {
		if err := s.walk(segments, e); err != nil {
			return err
		}
	}
	for _, m := range v.Members() {
		if err := s.walk(segments, m.Value); err != nil {
			return err
		}
	}
	return nil
}

func (s *selection) walkSlice(sl slice, segments []segment, v value.Value) error {
	list := v.Elements()
	from, to := 0, len(list)
	if sl.hasFrom {
		from = max(position(sl.from, len(list)), 0)
	}
	if sl.hasTo {
		to = min(position(sl.to, len(list)), len(list))
	}
	for i := from; i < to; i += sl.step {
		if err := s.walk(segments, list[i]); err != nil {
			return err
		}
	}
	return nil
}

// walkFilter keeps the elements of an array that the filter accepts, or the
// object itself.
func (s *selection) walkFilter(accept predicate, segments []segment, v value.Value) error {
	candidates := v.Elements()
	if v.Kind() == value.KindObject {
		candidates = []value.Value{v}
	}
	for _, c := range candidates {
		ok, err := accept(s, c)
		if err != nil {
			return err
		}
		if ok {
			if err := s.walk(segments, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// descend applies the segments to v and to everything inside it, outer first.
func (s *selection) descend(segments []segment, v value.Value) error {
	if err := s.visit(); err != nil {
		return err
	}
	if err := s.walkHere(segments, v); err != nil {
		return err
	}
	for _, e := range v.Elements() {
		if err := s.descend(segments, e); err != nil {
			return err
		}
	}
	for _, m := range v.Members() {
		if err := s.descend(segments, m.Value); err != nil {
			return err
		}
	}
	return nil
}

// walkHere applies the segments after ".." at one depth. A filter there tests
// each value itself, since all the others get their turn.
func (s *selection) walkHere(segments []segment, v value.Value) error {
	if segments[0].kind != filtering {
		return s.walk(segments, v)
	}
	ok, err := segments[0].filter(s, v)
	if err != nil || !ok {
		return err
	}
	return s.walk(segments[1:], v)
}
