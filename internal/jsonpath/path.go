// Package jsonpath selects values by JSONPath, in the dialect of AWS Step
// Functions: that of the Jayway library for Java, whose rules and messages show
// through wherever a path finds nothing.
package jsonpath

import (
	"strconv"
	"strings"

	"callfleet/internal/jsonpath/value"
)

// Path is a compiled path. It is immutable and safe for concurrent use.
type Path struct {
	text     string
	segments []segment
	call     function // applied to what the segments select; nil for none
	definite bool
}

// segment is one step of a path. Which fields count depends on the kind.
type segment struct {
	kind    kind
	names   []string
	indexes []int
	slice   slice
	filter  predicate
}

type kind uint8

const (
	property   kind = iota // names: one
	properties             // names: several
	element                // indexes: one
	elements               // indexes: several
	slicing                // slice
	wildcard
	descent // ".."; the next segment applies at every depth
	filtering
)

// slice is [from:to:step] with open ends.
type slice struct {
	from, to       int
	hasFrom, hasTo bool
	step           int
}

// NotFound says why a definite path leads nowhere.
type NotFound struct {
	// Reason is the library's message, which AWS shows to the user.
	Reason string
	// OutOfRange is true if only the index at the end of the path is too large.
	OutOfRange bool
}

// Error returns the reason.
func (e *NotFound) Error() string { return e.Reason }

// String returns the path as it was written.
func (p *Path) String() string { return p.text }

// Definite reports whether the path selects at most one value. A path that is
// not definite selects a list.
func (p *Path) Definite() bool { return p.definite }

// IsRoot reports whether the path is "$".
func (p *Path) IsRoot() bool { return len(p.segments) == 0 && p.call == nil }

// Find returns what a definite path leads to, without the cost of an error when
// that is nothing, and the list that any other path selects.
func (p *Path) Find(root value.Value) (value.Value, bool) {
	if !p.definite || p.call != nil {
		v, err := p.Eval(root)
		return v, err == nil
	}
	v, _, ok := p.follow(root)
	return v, ok
}

// Eval returns the value that a definite path leads to, or an error that is a
// *NotFound; for any other path the list of values it selects, which may be
// empty. What is less than the whole root comes out compact.
func (p *Path) Eval(root value.Value) (value.Value, error) {
	if !p.definite {
		return p.evalList(root)
	}
	v, at, ok := p.follow(root)
	if !ok {
		return value.Value{}, p.notFound(v, at)
	}
	if p.call != nil {
		return p.call(v)
	}
	return v, nil
}

// follow walks a definite path. Where it is stuck it returns the value it had
// come to and the position of the segment that does not apply.
func (p *Path) follow(root value.Value) (value.Value, int, bool) {
	v := root
	for i := range p.segments {
		next, ok := p.segments[i].only(v)
		if !ok {
			return v, i, false
		}
		v = next
	}
	if len(p.segments) > 0 {
		v = v.Compact()
	}
	return v, 0, true
}

// only applies a definite segment.
func (s *segment) only(v value.Value) (value.Value, bool) {
	switch s.kind {
	case property:
		next := v.Get(s.names[0])
		return next, !next.IsAbsent()
	case properties:
		if v.Kind() != value.KindObject {
			return v, false
		}
		var members []value.Member
		for _, name := range s.names {
			if m := v.Get(name); !m.IsAbsent() {
				members = append(members, value.Member{Key: name, Value: m})
			}
		}
		return value.Object(members...), true
	default:
		next := v.Index(position(s.indexes[0], v.Len()))
		return next, !next.IsAbsent()
	}
}

// position resolves an index that may count from the end.
func position(i, length int) int {
	if i < 0 {
		return i + length
	}
	return i
}

// notFound explains why the segment at position at does not apply to v.
func (p *Path) notFound(v value.Value, at int) error {
	s := &p.segments[at]
	leaf := at == len(p.segments)-1
	if s.kind == element {
		switch v.Kind() {
		case value.KindArray:
			return &NotFound{Reason: "No results for path: " + fragment(p.segments), OutOfRange: leaf && s.indexes[0] >= 0}
		case value.KindNull:
			return &NotFound{Reason: "The path " + fragment(p.segments[:at]) + " is null"}
		default:
			return &NotFound{Reason: "Filter: " + fragment(p.segments[at : at+1])[1:] +
				" can only be applied to arrays. Current context is: " + v.JavaText()}
		}
	}
	if v.Kind() != value.KindObject {
		return &NotFound{Reason: "Expected to find an object with property " + fragment(p.segments[at : at+1])[1:] +
			" in path " + fragment(p.segments[:at]) + " but found '" + javaClass(v) +
			"'. This is not a json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'."}
	}
	if leaf {
		return &NotFound{Reason: "No results for path: " + fragment(p.segments)}
	}
	return &NotFound{Reason: "Missing property in path " + fragment(p.segments[:at+1])}
}

func javaClass(v value.Value) string {
	switch v.Kind() {
	case value.KindBool:
		return "java.lang.Boolean"
	case value.KindString:
		return "java.lang.String"
	case value.KindArray:
		return "java.util.ArrayList"
	case value.KindNumber:
		i, ok := v.Int()
		switch {
		case ok && i == int64(int32(i)):
			return "java.lang.Integer"
		case ok:
			return "java.lang.Long"
		default:
			return "java.lang.Double"
		}
	default:
		return "null"
	}
}

// fragment writes the definite segments in bracket notation, after "$".
func fragment(segments []segment) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range segments {
		b.WriteByte('[')
		for i, name := range s.names {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("'" + name + "'")
		}
		for i, index := range s.indexes {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Itoa(index))
		}
		b.WriteByte(']')
	}
	return b.String()
}
