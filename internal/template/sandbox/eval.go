package sandbox

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

func (e *literal) eval(*Run, *scope) (any, error) { return e.value, nil }

func (e *name) eval(r *Run, s *scope) (any, error) {
	if err := r.step(e.place, 1); err != nil {
		return nil, err
	}
	if v, ok := s.find(e.name); ok {
		return v, nil
	}
	if v, ok := r.params.root.get(e.name); ok {
		return v, nil
	}
	if e.name == "params" {
		return r.params.root, nil
	}
	return undefined{path: e.name}, nil
}

func (e *access) eval(r *Run, s *scope) (any, error) {
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	if missing, ok := of.(undefined); ok {
		return missing, nil // the first name that is missing is the one to tell
	}
	var index any = e.key
	if e.index != nil {
		if index, err = r.value(e.index, s); err != nil {
			return nil, err
		}
	}
	switch of := of.(type) {
	case *object:
		key, ok := index.(string)
		if !ok {
			break
		}
		if err := r.step(e.place, 1+len(of.raw)/16); err != nil {
			return nil, err
		}
		if err := of.open(); err != nil {
			return nil, errorAt(e.place, "%s: %v", pathOf(e.of), err)
		}
		if v, ok := of.get(key); ok {
			return v, nil
		}
		return undefined{path: pathOf(e)}, nil
	case *list:
		n, ok := integer(index)
		if !ok {
			break
		}
		if err := r.open(of, e.place); err != nil {
			return nil, err
		}
		if 0 <= n && n < int64(len(of.items)) {
			return of.items[n], nil
		}
		return undefined{path: pathOf(e), reason: "the list is shorter"}, nil
	case *loop:
		if v, ok := of.get(e.key); ok {
			return v, nil
		}
	}
	return undefined{path: pathOf(e), reason: pathOf(e.of) + " is " + kindOf(of)}, nil
}

func (e *listOf) eval(r *Run, s *scope) (any, error) {
	l := &list{split: true, items: make([]any, 0, len(e.items))}
	for _, item := range e.items {
		v, err := r.value(item, s)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, v)
	}
	return l, r.step(e.place, 1+len(l.items))
}

func (e *filtered) eval(r *Run, s *scope) (any, error) {
	of, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	c := filterCall{run: r, place: e.place, of: of, path: e.of}
	if missing, ok := of.(undefined); ok && !e.filter.takesUndefined {
		return nil, missing.error(e.of.at())
	}
	for _, arg := range e.args {
		v, err := r.value(arg, s)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, v)
	}
	if err := r.step(e.place, 1); err != nil {
		return nil, err
	}
	return e.filter.apply(&c)
}

func (e *unary) eval(r *Run, s *scope) (any, error) {
	v, err := r.value(e.of, s)
	if err != nil {
		return nil, err
	}
	if e.op == "not" {
		return !truth(v), nil
	}
	n, ok := v.(number)
	if !ok {
		return nil, errorAt(e.place, "- needs a number, %s is %s", pathOf(e.of), kindOf(v))
	}
	if rest, ok := strings.CutPrefix(string(n), "-"); ok {
		return number(rest), nil
	}
	return "-" + n, nil
}

func (e *test) eval(r *Run, s *scope) (any, error) {
	v, err := e.of.eval(r, s)
	if err != nil {
		return nil, err
	}
	missing, isMissing := v.(undefined)
	if e.what == "defined" {
		return isMissing == e.negate, nil
	}
	if isMissing {
		return nil, missing.error(e.of.at())
	}
	return (v == nil) != e.negate, nil
}

func (e *choice) eval(r *Run, s *scope) (any, error) {
	cond, err := r.value(e.cond, s)
	if err != nil {
		return nil, err
	}
	if truth(cond) {
		return e.then.eval(r, s)
	}
	return e.other.eval(r, s)
}

func (e *binary) eval(r *Run, s *scope) (any, error) {
	left, err := r.value(e.left, s)
	if err != nil {
		return nil, err
	}
	switch {
	case e.op == "and" && !truth(left), e.op == "or" && truth(left):
		return left, nil
	case e.op == "and", e.op == "or":
		return r.value(e.right, s)
	}
	right, err := r.value(e.right, s)
	if err != nil {
		return nil, err
	}
	if err := r.step(e.place, 1); err != nil {
		return nil, err
	}
	switch e.op {
	case "==", "!=":
		same, err := r.equal(left, right, e.place, 0)
		return same == (e.op == "=="), err
	case "in":
		return r.in(left, right, e.place)
	case "<", "<=", ">", ">=":
		order, err := compare(left, right, e)
		if err != nil {
			return nil, err
		}
		return order < 0 && e.op[0] == '<' || order > 0 && e.op[0] == '>' || order == 0 && len(e.op) == 2, nil
	}
	return r.arithmetic(left, right, e)
}

func (r *Run) arithmetic(left, right any, e *binary) (any, error) {
	if e.op == "+" {
		a, okA := textOf(left)
		b, okB := textOf(right)
		if okA && okB {
			if err := r.grow(len(a)+len(b), e.place); err != nil {
				return nil, err
			}
			return a + b, nil
		}
	}
	a, okA := left.(number)
	b, okB := right.(number)
	if !okA || !okB {
		return nil, errorAt(e.place, "%s does not join %s and %s", e.op, kindOf(left), kindOf(right))
	}
	m, okM := integer(a)
	n, okN := integer(b)
	if (e.op == "/" || e.op == "%") && !truth(b) {
		return nil, errorAt(e.place, "division by zero")
	}
	if okM && okN && e.op != "/" {
		return wholeArithmetic(m, n, e)
	}
	return floatArithmetic(a, b, e)
}

// wholeArithmetic computes in 64 bits, or not at all.
func wholeArithmetic(m, n int64, e *binary) (any, error) {
	x, y := big.NewInt(m), big.NewInt(n)
	switch e.op {
	case "+":
		x.Add(x, y)
	case "-":
		x.Sub(x, y)
	case "*":
		x.Mul(x, y)
	case "%": // the sign of the divisor, as in Jinja2
		x.Mod(x, new(big.Int).Abs(y))
		if n < 0 && x.Sign() != 0 {
			x.Add(x, y)
		}
	}
	if !x.IsInt64() {
		return nil, errorAt(e.place, "the result of %s is too large", e.op)
	}
	return number(x.String()), nil
}

func floatArithmetic(a, b number, e *binary) (any, error) {
	x, errX := strconv.ParseFloat(string(a), 64)
	y, errY := strconv.ParseFloat(string(b), 64)
	if errX != nil || errY != nil {
		return nil, errorAt(e.place, "%s takes no number as large as that", e.op)
	}
	switch e.op {
	case "+":
		x += y
	case "-":
		x -= y
	case "*":
		x *= y
	case "/":
		x /= y
	case "%":
		if x = math.Mod(x, y); x != 0 && (x < 0) != (y < 0) {
			x += y
		}
	}
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return nil, errorAt(e.place, "the result of %s is too large", e.op)
	}
	return number(formatFloat(x)), nil
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

// integer is the value of a whole number in 64 bits.
func integer(v any) (int64, bool) {
	n, ok := v.(number)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(string(n), 10, 64)
	return i, err == nil
}

// textOf is the content of a text; numbers and booleans are none.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case encoded:
		return v.text, true
	}
	return "", false
}

const maxDigits = 1000 // of a whole number that is compared exactly

func compareNumbers(a, b number) (int, bool) {
	if len(a) <= maxDigits && len(b) <= maxDigits {
		x, okX := new(big.Int).SetString(string(a), 10)
		y, okY := new(big.Int).SetString(string(b), 10)
		if okX && okY {
			return x.Cmp(y), true
		}
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

func compare(left, right any, e *binary) (int, error) {
	if a, ok := left.(number); ok {
		if b, ok := right.(number); ok {
			if order, ok := compareNumbers(a, b); ok {
				return order, nil
			}
			return 0, errorAt(e.place, "%s takes no number as large as that", e.op)
		}
	}
	a, okA := textOf(left)
	b, okB := textOf(right)
	if okA && okB {
		return strings.Compare(a, b), nil
	}
	return 0, errorAt(e.place, "%s cannot compare %s and %s", e.op, kindOf(left), kindOf(right))
}

const maxEqualDepth = 100

// equal compares by content: 1 and 1.0 are equal, 1 and "1" are not.
func (r *Run) equal(left, right any, p place, depth int) (bool, error) {
	if depth > maxEqualDepth {
		return false, errorAt(p, "values are nested more than %d deep", maxEqualDepth)
	}
	if a, ok := textOf(left); ok {
		b, ok := textOf(right)
		return ok && a == b, r.step(p, 1+len(a)/64)
	}
	switch a := left.(type) {
	case nil:
		return right == nil, nil
	case bool:
		b, ok := right.(bool)
		return ok && a == b, nil
	case number:
		b, ok := right.(number)
		if !ok {
			return false, nil
		}
		order, comparable := compareNumbers(a, b)
		return comparable && order == 0 || a == b, nil
	case *list:
		b, ok := right.(*list)
		if !ok {
			return false, nil
		}
		return r.equalLists(a, b, p, depth)
	case *object:
		b, ok := right.(*object)
		if !ok {
			return false, nil
		}
		return r.equalObjects(a, b, p, depth)
	}
	return false, errorAt(p, "%s cannot be compared", kindOf(left))
}

func (r *Run) equalLists(a, b *list, p place, depth int) (bool, error) {
	if err := r.open(a, p); err != nil {
		return false, err
	}
	if err := r.open(b, p); err != nil || len(a.items) != len(b.items) {
		return false, err
	}
	for i := range a.items {
		if err := r.step(p, 1); err != nil {
			return false, err
		}
		if same, err := r.equal(a.items[i], b.items[i], p, depth+1); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

func (r *Run) equalObjects(a, b *object, p place, depth int) (bool, error) {
	if err := r.open(a, p); err != nil {
		return false, err
	}
	if err := r.open(b, p); err != nil || len(a.members) != len(b.members) {
		return false, err
	}
	for _, m := range a.members {
		if err := r.step(p, 1+len(b.members)); err != nil {
			return false, err
		}
		other, ok := b.get(m.key)
		if !ok {
			return false, nil
		}
		if same, err := r.equal(m.value, other, p, depth+1); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// in tells whether a list has an item, an object a key, or a text a part.
func (r *Run) in(item, of any, p place) (any, error) {
	switch of := of.(type) {
	case *list:
		if err := r.open(of, p); err != nil {
			return nil, err
		}
		for _, v := range of.items {
			if err := r.step(p, 1); err != nil {
				return nil, err
			}
			if same, err := r.equal(item, v, p, 0); err != nil || same {
				return same, err
			}
		}
		return false, nil
	case *object:
		if err := r.open(of, p); err != nil {
			return nil, err
		}
		key, ok := textOf(item)
		if ok {
			_, ok = of.get(key)
		}
		return ok, r.step(p, 1+len(of.members))
	}
	text, okT := textOf(of)
	part, okP := textOf(item)
	if !okT || !okP {
		return nil, errorAt(p, "in cannot look for %s in %s", kindOf(item), kindOf(of))
	}
	return strings.Contains(text, part), r.step(p, 1+len(text)/64)
}
