package value

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"callfleet/internal/template/sandbox/number"
)

// Namespace is an object that a template may change: the only one.
type Namespace struct{ *Object }

// Callable is a value that may be called.
type Callable interface {
	Call(g *Budget, at Place, args []any) (any, error)
}

// NewObject is an object that the template makes.
func NewObject(members []Member) *Object { return &Object{Members: members, split: true} }

// Set adds or replaces a member of an object that the template makes.
func (o *Object) Set(key string, v any) {
	for i := range o.Members {
		if o.Members[i].Key == key {
			o.Members[i].Value = v
			return
		}
	}
	o.Members = append(o.Members, Member{key, v})
}

// NumberOf is a number; true and false are 1 and 0, as in Python.
func NumberOf(v any) (Number, bool) {
	switch v := v.(type) {
	case Number:
		return v, true
	case bool:
		if v {
			return "1", true
		}
		return "0", true
	}
	return "", false
}

// IsFloat tells a number with a fraction or an exponent from a whole one.
func (n Number) IsFloat() bool { return number.IsFloat(string(n)) }

// Float writes a float as Python does.
func Float(s string) (string, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", err
	}
	return number.Float(x), nil
}

// FloatNumber is x, which must be finite.
func FloatNumber(x float64) Number { return Number(number.Float(x)) }

// Lookup finds a member of what has been opened; short is an index that a list
// does not reach.
func Lookup(of, index any) (v any, found, short bool) {
	switch of := of.(type) {
	case *Object:
		if key, ok := TextOf(index); ok {
			v, found = of.Get(key)
		}
	case *Namespace:
		if key, ok := TextOf(index); ok {
			v, found = of.Get(key)
		}
	case *List:
		if of.View != "" { // may only be gone over
			return nil, false, false
		}
		if key, ok := index.(string); ok {
			if i := slices.Index(of.Names, key); i >= 0 {
				return of.Items[i], true, false
			}
		}
		if n, ok := position(index); ok {
			if n < 0 {
				n += int64(len(of.Items))
			}
			if n < 0 || n >= int64(len(of.Items)) {
				return nil, false, true
			}
			return of.Items[n], true, false
		}
	case string:
		if n, ok := position(index); ok {
			runes := []rune(of)
			if n < 0 {
				n += int64(len(runes))
			}
			if n < 0 || n >= int64(len(runes)) {
				return nil, false, true
			}
			return string(runes[n]), true, false
		}
	}
	return v, found, false
}

// position is an index of a list: true is 1, as in Python.
func position(index any) (int64, bool) {
	if b, ok := index.(bool); ok {
		index, _ = NumberOf(b)
	}
	return Integer(index)
}

// Items are what a loop goes over: the items of a list, the names of an
// object, the characters of a text.
func (g *Budget) Items(v any, at Place) ([]any, error) {
	switch v := v.(type) {
	case *List:
		err := g.Open(v, at)
		return v.Items, err
	case *Object:
		if err := g.Open(v, at); err != nil {
			return nil, err
		}
		keys := make([]any, len(v.Members))
		for i, m := range v.Members {
			keys[i] = m.Key
		}
		return keys, g.Step(at, len(keys))
	}
	s, ok := TextOf(v)
	if !ok {
		return nil, ErrorAt(at, "%s has no items", KindOf(v))
	}
	if err := g.Step(at, 1+len(s)); err != nil {
		return nil, err
	}
	list := make([]any, 0, len(s))
	for _, c := range s {
		list = append(list, string(c))
	}
	return list, nil
}

// Slice is of[low:high:step], nil for what is not given.
func (g *Budget) Slice(of any, bounds [3]*int64, at Place) (any, error) {
	items, err := g.Items(of, at)
	if err != nil {
		return nil, err
	}
	if _, ok := of.(*Object); ok {
		return nil, ErrorAt(at, "an object has no slices")
	}
	n, step := int64(len(items)), int64(1)
	if bounds[2] != nil {
		step = *bounds[2]
	}
	if step == 0 {
		return nil, ErrorAt(at, "the step of a slice cannot be 0")
	}
	low, high, least, most := int64(0), n, int64(0), n
	if step < 0 {
		low, high, least, most = n-1, -1, -1, n-1
	}
	bound := func(b *int64, otherwise int64) int64 {
		if b == nil {
			return otherwise
		}
		v := *b
		if v < 0 {
			v = max(v, -n-1) + n
		}
		return min(max(v, least), most)
	}
	low, high = bound(bounds[0], low), bound(bounds[1], high)
	step = min(max(step, -n-1), n+1)
	var out []any
	for i := low; step > 0 && i < high || step < 0 && i > high; i += step {
		out = append(out, items[i])
	}
	if _, ok := TextOf(of); ok {
		var b strings.Builder
		for _, c := range out {
			b.WriteString(c.(string))
		}
		return b.String(), nil
	}
	return &List{Items: out, Tuple: of.(*List).Tuple}, g.Step(at, 1+len(out))
}

// Str is the text of any value, as Python's str makes it; a number is as it
// was written.
func (g *Budget) Str(v any, at Place) (string, error) {
	if s, ok := Printed(v); ok {
		return s, g.Grow(len(s), at)
	}
	b, err := g.appendRepr(nil, v, at, 0)
	return string(b), err
}

func (g *Budget) appendRepr(b []byte, v any, at Place, depth int) ([]byte, error) {
	if depth > maxEqualDepth {
		return nil, ErrorAt(at, "values are nested more than %d deep", maxEqualDepth)
	}
	if err := g.Step(at, 1); err != nil {
		return nil, err
	}
	if len(b) > g.MaxOutput() {
		return nil, ErrorAt(at, "makes more than %d bytes", g.MaxOutput())
	}
	if s, ok := TextOf(v); ok {
		if err := g.Grow(len(b)+len(s), at); err != nil {
			return nil, err
		}
		return appendQuoted(b, s), nil
	}
	switch v := v.(type) {
	case nil:
		return append(b, "None"...), nil
	case *List:
		switch {
		case v.Range != "":
			return append(b, v.Range...), nil
		case v.View == "":
			return g.appendItems(b, v, at, depth)
		}
		b, err := g.appendItems(append(append(b, v.View...), '('), v, at, depth)
		return append(b, ')'), err
	case *Object:
		return g.appendMembers(b, v, at, depth)
	}
	s, ok := Printed(v)
	if !ok {
		return nil, ErrorAt(at, "%s does not print", KindOf(v))
	}
	return append(b, s...), nil
}

func (g *Budget) appendItems(b []byte, l *List, at Place, depth int) ([]byte, error) {
	if err := g.Open(l, at); err != nil {
		return nil, err
	}
	opening, closing := byte('['), byte(']')
	if l.Tuple {
		opening, closing = '(', ')'
	}
	b = append(b, opening)
	var err error
	for i, item := range l.Items {
		if i > 0 {
			b = append(b, ", "...)
		}
		if b, err = g.appendRepr(b, item, at, depth+1); err != nil {
			return nil, err
		}
	}
	if l.Tuple && len(l.Items) == 1 {
		b = append(b, ',')
	}
	return append(b, closing), nil
}

func (g *Budget) appendMembers(b []byte, o *Object, at Place, depth int) ([]byte, error) {
	if err := g.Open(o, at); err != nil {
		return nil, err
	}
	b = append(b, '{')
	var err error
	for i, m := range o.Members {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(appendQuoted(b, m.Key), ": "...)
		if b, err = g.appendRepr(b, m.Value, at, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendQuoted writes a text as Python's repr does.
func appendQuoted(b []byte, s string) []byte {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b = append(b, byte(quote))
	for _, c := range s {
		switch {
		case c == quote || c == '\\':
			b = append(b, '\\', byte(c))
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < 0x100 && (c < ' ' || 0x7f <= c && c <= 0xa0 || c == 0xad):
			b = fmt.Appendf(b, `\x%02x`, c)
		case !unicode.IsPrint(c) && c < 0x10000:
			b = fmt.Appendf(b, `\u%04x`, c)
		case !unicode.IsPrint(c):
			b = fmt.Appendf(b, `\U%08x`, c)
		default:
			b = append(b, string(c)...)
		}
	}
	return append(b, byte(quote))
}

// Concat is ~: both as texts.
func (g *Budget) Concat(left, right any, at Place) (any, error) {
	a, err := g.Str(left, at)
	if err != nil {
		return nil, err
	}
	b, err := g.Str(right, at)
	if err != nil {
		return nil, err
	}
	return a + b, g.Grow(len(a)+len(b), at)
}

// onSequences is what + and * do to texts and lists; nil when it is about
// something else.
func (g *Budget) onSequences(op string, left, right any, at Place) (any, error) {
	if op == "*" {
		if _, ok := NumberOf(left); ok {
			left, right = right, left
		}
		times, ok := NumberOf(right)
		n, whole := Integer(times)
		if !ok || !whole {
			return nil, nil
		}
		n = max(n, 0)
		if s, ok := TextOf(left); ok {
			if n > int64(g.MaxOutput()) {
				return nil, ErrorAt(at, "makes more than %d bytes", g.MaxOutput())
			}
			if err := g.Grow(len(s)*int(n), at); err != nil {
				return nil, err
			}
			return strings.Repeat(s, int(n)), nil
		}
		l, ok := left.(*List)
		if !ok || !l.plain() {
			return nil, nil
		}
		if err := g.Open(l, at); err != nil {
			return nil, err
		}
		if err := g.Step(at, int(min(n, math.MaxInt32))*max(1, len(l.Items))); err != nil {
			return nil, err
		}
		return &List{Items: slices.Repeat(l.Items, int(n)), Tuple: l.Tuple}, nil
	}
	a, okA := left.(*List)
	b, okB := right.(*List)
	if op != "+" || !okA || !okB || a.Tuple != b.Tuple || !a.plain() || !b.plain() {
		return nil, nil
	}
	if err := g.Open(a, at); err != nil {
		return nil, err
	}
	if err := g.Open(b, at); err != nil {
		return nil, err
	}
	return &List{Items: slices.Concat(a.Items, b.Items), Tuple: a.Tuple}, g.Step(at, len(a.Items)+len(b.Items))
}
