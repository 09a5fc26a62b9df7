package value

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Arithmetic joins two values by +, -, *, /, //, % or **: numbers, texts and
// lists as far as Python does.
func (g *Budget) Arithmetic(op string, left, right any, at Place) (any, error) {
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
	m, okM := Integer(a)
	n, okN := Integer(b)
	if (op == "/" || op == "%" || op == "//") && !Truth(b) {
		return nil, ErrorAt(at, "division by zero")
	}
	if whole := !a.IsFloat() && !b.IsFloat(); whole && (!okM || !okN) {
		return nil, ErrorAt(at, "%s takes no whole number as large as that", op)
	} else if whole && op != "/" && (op != "**" || n >= 0) {
		return wholeArithmetic(op, m, n, at)
	}
	return floatArithmetic(op, a, b, at)
}

// wholeArithmetic computes in 64 bits, or not at all.
func wholeArithmetic(op string, m, n int64, at Place) (any, error) {
	x, y := big.NewInt(m), big.NewInt(n)
	switch op {
	case "+":
		x.Add(x, y)
	case "-":
		x.Sub(x, y)
	case "*":
		x.Mul(x, y)
	case "**":
		if n > 64 && m != 0 && m != 1 && m != -1 {
			return nil, ErrorAt(at, "the result of %s is too large", op)
		}
		x.Exp(x, y, nil)
	case "//": // rounded down, as in Jinja2
		m := new(big.Int)
		if x.DivMod(x, y, m); m.Sign() != 0 && n < 0 {
			x.Sub(x, big.NewInt(1))
		}
	case "%": // the sign of the divisor, as in Jinja2
		x.Mod(x, new(big.Int).Abs(y))
		if n < 0 && x.Sign() != 0 {
			x.Add(x, y)
		}
	}
	if !x.IsInt64() {
		return nil, ErrorAt(at, "the result of %s is too large", op)
	}
	return Number(x.String()), nil
}

func floatArithmetic(op string, a, b Number, at Place) (any, error) {
	x, errX := strconv.ParseFloat(string(a), 64)
	y, errY := strconv.ParseFloat(string(b), 64)
	if errX != nil || errY != nil {
		return nil, ErrorAt(at, "%s takes no number as large as that", op)
	}
	switch op {
	case "+":
		x += y
	case "-":
		x -= y
	case "*":
		x *= y
	case "/":
		x /= y
	case "//":
		x = math.Floor(x / y)
	case "**":
		x = math.Pow(x, y)
	case "%":
		if x = math.Mod(x, y); x != 0 && (x < 0) != (y < 0) {
			x += y
		}
	}
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return nil, ErrorAt(at, "the result of %s is too large", op)
	}
	return Number(formatFloat(x)), nil
}

// formatFloat is the shortest text of a float, with a fraction or an exponent.
func formatFloat(x float64) string {
	format := byte('f')
	if a := math.Abs(x); a != 0 && (a < 1e-4 || a >= 1e16) {
		format = 'e'
	}
	text := strconv.FormatFloat(x, format, -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// Integer is the value of a whole number in 64 bits.
func Integer(v any) (int64, bool) {
	n, ok := v.(Number)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(string(n), 10, 64)
	return i, err == nil
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

// MaxDigits bounds the text of a number: to read a longer one takes time that
// no step is taken for.
const MaxDigits = 1000

func compareNumbers(a, b Number) (int, bool) {
	m, okM := new(big.Int).SetString(string(a), 10)
	n, okN := new(big.Int).SetString(string(b), 10)
	if okM && okN {
		return m.Cmp(n), true
	}
	x, errX := strconv.ParseFloat(string(a), 64)
	y, errY := strconv.ParseFloat(string(b), 64)
	if errX != nil || errY != nil {
		return 0, false
	}
	switch {
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	}
	return 0, true
}

// Compare orders two numbers, or two texts; op is for messages.
func Compare(op string, left, right any, at Place) (int, error) {
	if a, ok := NumberOf(left); ok {
		if b, ok := NumberOf(right); ok {
			if order, ok := compareNumbers(a, b); ok {
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
		order, comparable := compareNumbers(a, b)
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
