// Package value is the JSON value that the engine computes with: immutable,
// order-preserving, read lazily, and faithful to the text it came from.
//
// A Value made from text holds that text and nothing else until somebody looks
// inside; then one level of it is indexed, once, and shared by all copies. A
// Value that is only passed on is therefore never read and never written anew,
// which is fast and also what AWS does: an input that passes through a state
// keeps its spaces.
package value

import (
	"encoding/json"
	"math"
	"strconv"
	"sync/atomic"
)

// Kind is the JSON type of a Value.
type Kind uint8

// The kinds of a Value. Absent is the kind of the zero Value and is not null.
const (
	Absent Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// String returns the name JSON Schema gives the kind, or "absent".
func (k Kind) String() string {
	switch k {
	case KindNull:
		return "null"
	case KindBool:
		return "boolean"
	case KindNumber:
		return "number"
	case KindString:
		return "string"
	case KindArray:
		return "array"
	case KindObject:
		return "object"
	default:
		return "absent"
	}
}

// Value is an immutable JSON value. It is one pointer wide, to be copied
// freely, and safe for concurrent use. The zero Value is absent: the outcome of
// looking up what is not there.
type Value struct{ n *node }

// Member is one key of an object with its value.
type Member struct {
	Key   string
	Value Value
}

// node is what copies of a Value share. Everything but the atomics is written
// before the node is published and never after.
type node struct {
	text []byte // nil for a built array or object, else the JSON text
	kids atomic.Pointer[kids]
	kind Kind
	form form
}

// kids is the inside of an array or object, one level deep.
type kids struct {
	elements []Value        // of an array
	members  []Member       // of an object, keys unique
	index    map[string]int // of an object with many members: key to position
	encoded  atomic.Pointer[[]byte]
}

// form says whether a text is as compact as an encoder would have written it.
type form uint8

const (
	formUnknown form = iota
	formCompact
	formLoose // has spaces, or escapes that need not be
)

// Nodes are immutable, so these are constants in all but name.
var (
	nullNode  = &node{text: []byte("null"), kind: KindNull, form: formCompact}
	trueNode  = &node{text: []byte("true"), kind: KindBool, form: formCompact}
	falseNode = &node{text: []byte("false"), kind: KindBool, form: formCompact}
)

// Null returns JSON null.
func Null() Value { return Value{nullNode} }

// Bool returns true or false.
func Bool(b bool) Value {
	if b {
		return Value{trueNode}
	}
	return Value{falseNode}
}

// String returns a JSON string. Bytes that are not UTF-8 become U+FFFD.
func String(s string) Value {
	text := AppendQuoted(make([]byte, 0, len(s)+2), s)
	return Value{&node{text: text, kind: KindString, form: formCompact}}
}

// Int returns a JSON number.
func Int(i int64) Value {
	return Value{&node{text: strconv.AppendInt(nil, i, 10), kind: KindNumber, form: formCompact}}
}

// Float returns a JSON number in its shortest form, or null if f is infinite or
// not a number, which JSON cannot say.
func Float(f float64) Value {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return Null()
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	text := strconv.AppendFloat(nil, f, format, -1, 64)
	return Value{&node{text: text, kind: KindNumber, form: formCompact}}
}

// Number returns the number that text spells, kept as written, or the absent
// Value if text is not a JSON number.
func Number(text string) Value {
	b := []byte(text)
	if end, ok := scanNumber(b, 0); !ok || end != len(b) {
		return Value{}
	}
	return Value{&node{text: b, kind: KindNumber, form: formCompact}}
}

// Array returns an array of the elements, whose slice it keeps. Absent elements
// become null. Each element keeps its own text.
func Array(elements ...Value) Value {
	for i, e := range elements {
		if e.n == nil {
			elements[i] = Null()
		}
	}
	return built(KindArray, &kids{elements: elements})
}

// Object returns an object of the members in that order, whose slice it keeps.
// Of members with one key the last value counts, at the first one's place.
// Absent values become null.
func Object(members ...Member) Value {
	for i, m := range members {
		if m.Value.n == nil {
			members[i].Value = Null()
		}
	}
	k := &kids{}
	k.setMembers(members)
	return built(KindObject, k)
}

func built(kind Kind, k *kids) Value {
	n := &node{kind: kind}
	n.kids.Store(k)
	return Value{n}
}

// Kind returns the JSON type.
func (v Value) Kind() Kind {
	if v.n == nil {
		return Absent
	}
	return v.n.kind
}

// IsAbsent reports whether there is no value, which is not the same as null.
func (v Value) IsAbsent() bool { return v.n == nil }

// Bool reports whether the value is true.
func (v Value) Bool() bool {
	return v.Kind() == KindBool && tight(v.n.text)[0] == 't'
}

// Text returns the content of a string, or "" for any other kind.
func (v Value) Text() string {
	if v.Kind() != KindString {
		return ""
	}
	s, _ := unquote(tight(v.n.text))
	return s
}

// Number returns a number as it is written, or "" for any other kind.
func (v Value) Number() json.Number {
	if v.Kind() != KindNumber {
		return ""
	}
	return json.Number(view(tight(v.n.text)))
}

// Float returns a number, infinite if it is out of range, or 0 for any other kind.
func (v Value) Float() float64 {
	f, _ := strconv.ParseFloat(string(v.Number()), 64)
	return f
}

// Int returns a number that is written as an integer and fits.
func (v Value) Int() (int64, bool) {
	i, err := strconv.ParseInt(string(v.Number()), 10, 64)
	return i, err == nil
}

// Len returns the number of elements or members, or 0 for any other kind.
func (v Value) Len() int {
	k := v.look()
	return len(k.elements) + len(k.members)
}

// Index returns the element at i, absent if there is none.
func (v Value) Index(i int) Value {
	k := v.look()
	if i < 0 || i >= len(k.elements) {
		return Value{}
	}
	return k.elements[i]
}

// Get returns the member of an object, absent if there is none. Of a key that
// the text repeats the last value counts.
func (v Value) Get(key string) Value {
	k := v.look()
	if i := k.find(key); i >= 0 {
		return k.members[i].Value
	}
	return Value{}
}

// Elements returns the elements of an array. The slice must not be changed.
func (v Value) Elements() []Value { return v.look().elements }

// Members returns the members of an object in order. The slice must not be changed.
func (v Value) Members() []Member { return v.look().members }

// With returns the object v with the member set: in its place if v has the key,
// else at the end. Whatever is not an object counts as an empty one.
func (v Value) With(key string, member Value) Value {
	old := v.look().members
	members := make([]Member, len(old), len(old)+1)
	copy(members, old)
	if i := v.look().find(key); i >= 0 {
		members[i].Value = member
	} else {
		members = append(members, Member{key, member})
	}
	return Object(members...)
}

// look returns the inside of an array or object, indexing it on the first call,
// and an empty one for any other kind.
func (v Value) look() *kids {
	if v.n == nil || v.n.kind < KindArray {
		return &noKids
	}
	if k := v.n.kids.Load(); k != nil {
		return k
	}
	k := index(v.n)
	if !v.n.kids.CompareAndSwap(nil, k) {
		k = v.n.kids.Load()
	}
	return k
}

var noKids kids // never written to

// indexFrom is the number of members from which a map beats a linear search.
const indexFrom = 12

// find returns the position of a key, or -1.
func (k *kids) find(key string) int {
	if k.index != nil {
		if i, ok := k.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range k.members {
		if k.members[i].Key == key {
			return i
		}
	}
	return -1
}

// setMembers takes over members and folds repeated keys.
func (k *kids) setMembers(members []Member) {
	if len(members) >= indexFrom {
		k.index = make(map[string]int, len(members))
	}
	k.members = members[:0]
	for _, m := range members {
		if i := k.find(m.Key); i >= 0 {
			k.members[i].Value = m.Value
			continue
		}
		if k.index != nil {
			k.index[m.Key] = len(k.members)
		}
		k.members = append(k.members, m)
	}
}
