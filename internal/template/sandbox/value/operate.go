package value

import (
	"strings"

	"callfleet/internal/template/sandbox/number"
)

// Arithmetic joins two values by +, -, *, /, //, % or **: numbers, texts and
// lists as far as Python does.
func (g *Budget) Arithmetic(op string, left, right any, at Place) (any, error) {
	if (op == "+" || op == "%") && (IsMarkup(left) && special(right) || op == "+" && IsMarkup(right) && special(left)) {
		return nil, ErrorAt(at, "%s joins what is safe or JSON with a text, of which Jinja2 would make HTML: print the one behind the other", op)
	}
	if op == "+" {
		a, okA := TextOf(left)
		b, okB := TextOf(right)
		if okA && okB {
			if err := g.Grow(len(a)+len(b), at); err != nil {
				return nil, err
			}
			return a + b, nil
		}
	}
	if v, err := g.onSequences(op, left, right, at); v != nil || err != nil {
		return v, err
	}
	if format, ok := TextOf(left); ok && op == "%" {
		return g.Format(format, right, at)
	}
	a, okA := NumberOf(left)
	b, okB := NumberOf(right)
	if !okA || !okB {
		return nil, ErrorAt(at, "%s does not join %s and %s", op, KindOf(left), KindOf(right))
	}
	n, err := number.Arithmetic(op, string(a), string(b))
	if err != nil {
		return nil, ErrorAt(at, "%v", err)
	}
	return Number(n), nil
}

// IsMarkup reports a text that Jinja2 knows to be HTML; what is joined to it by +
// becomes HTML there.
func IsMarkup(v any) bool {
	e, ok := v.(Encoded)
	return ok && e.As != AsURL && e.As != AsPairs
}

// special reports text that HTML would write otherwise.
func special(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsAny(v, `&<>"'`)
	case Encoded:
		return (v.As == AsURL || v.As == AsPairs) && strings.Contains(v.Text, "&")
	case *List:
		return len(v.Items) > 0
	case *Object:
		return true
	}
	return false
}

// Integer is the value of a whole number in 64 bits.
func Integer(v any) (int64, bool) {
	n, ok := v.(Number)
	if !ok {
		return 0, false
	}
	return number.Int(string(n))
}

// TextOf is the content of a text; numbers and booleans are none.
func TextOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case Encoded:
		return v.Text, true
	}
	return "", false
}

// Compare orders two numbers, or two texts; op is for messages.
func Compare(op string, left, right any, at Place) (int, error) {
	if a, ok := NumberOf(left); ok {
		if b, ok := NumberOf(right); ok {
			if order, ok := number.Compare(string(a), string(b)); ok {
				return order, nil
			}
			return 0, ErrorAt(at, "%s takes no number as large as that", op)
		}
	}
	a, okA := TextOf(left)
	b, okB := TextOf(right)
	if okA && okB {
		return strings.Compare(a, b), nil
	}
	return 0, ErrorAt(at, "%s cannot compare %s and %s", op, KindOf(left), KindOf(right))
}

const maxEqualDepth = 100

// Equal compares by content: 1 and 1.0 are equal, 1 and "1" are not.
func (g *Budget) Equal(left, right any, at Place, depth int) (bool, error) {
	if depth > maxEqualDepth {
		return false, ErrorAt(at, "values are nested more than %d deep", maxEqualDepth)
	}
	if a, ok := TextOf(left); ok {
		b, ok := TextOf(right)
		return ok && a == b, g.Step(at, 1+len(a)/64)
	}
	if a, ok := NumberOf(left); ok {
		b, ok := NumberOf(right)
		if !ok {
			return false, nil
		}
		order, comparable := number.Compare(string(a), string(b))
		return comparable && order == 0 || a == b, nil
	}
	switch a := left.(type) {
	case nil:
		return right == nil, nil
	case *List:
		b, ok := right.(*List)
		if !ok {
			return false, nil
		}
		return g.equalLists(a, b, at, depth)
	case *Object:
		b, ok := right.(*Object)
		if !ok {
			return false, nil
		}
		return g.equalObjects(a, b, at, depth)
	}
	return false, ErrorAt(at, "%s cannot be compared", KindOf(left))
}

func (g *Budget) equalLists(a, b *List, at Place, depth int) (bool, error) {
	if a.View != "" && b.View != "" {
		return false, ErrorAt(at, "what methods of objects give cannot be compared")
	}
	if a.View != b.View || (a.Range == "") != (b.Range == "") {
		return false, nil
	}
	if err := g.Open(a, at); err != nil {
		return false, err
	}
	if err := g.Open(b, at); err != nil || len(a.Items) != len(b.Items) || a.Tuple != b.Tuple {
		return false, err
	}
	for i := range a.Items {
		if err := g.Step(at, 1); err != nil {
			return false, err
		}
		if same, err := g.Equal(a.Items[i], b.Items[i], at, depth+1); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (g *Budget) equalObjects(a, b *Object, at Place, depth int) (bool, error) {
	if err := g.Open(a, at); err != nil {
		return false, err
	}
	if err := g.Open(b, at); err != nil || len(a.Members) != len(b.Members) {
		return false, err
	}
	for _, m := range a.Members {
		if err := g.Step(at, 1+len(b.Members)); err != nil {
			return false, err
		}
		other, ok := b.Get(m.Key)
		if !ok {
			return false, nil
		}
		if same, err := g.Equal(m.Value, other, at, depth+1); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// In tells whether a list has an item, an object a key, or a text a part.
func (g *Budget) In(item, of any, at Place) (any, error) {
	switch of := of.(type) {
	case *List:
		if err := g.Open(of, at); err != nil {
			return nil, err
		}
		for _, v := range of.Items {
			if err := g.Step(at, 1); err != nil {
				return nil, err
			}
			if same, err := g.Equal(item, v, at, 0); err != nil || same {
				return same, err
			}
		}
		return false, nil
	case *Object:
		if err := g.Open(of, at); err != nil {
			return nil, err
		}
		switch item.(type) {
		case *List, *Object:
			return nil, ErrorAt(at, "in cannot look for %s in an object", KindOf(item))
		}
		key, ok := TextOf(item)
		if ok {
			_, ok = of.Get(key)
		}
		return ok, g.Step(at, 1+len(of.Members))
	}
	text, okT := TextOf(of)
	part, okP := TextOf(item)
	if !okT || !okP {
		return nil, ErrorAt(at, "in cannot look for %s in %s", KindOf(item), KindOf(of))
	}
	return strings.Contains(text, part), g.Step(at, 1+len(text)/64)
}
