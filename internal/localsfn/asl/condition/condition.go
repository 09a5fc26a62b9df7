// Package condition holds the comparisons and combinations of Choice rules.
package condition

import (
	"cmp"
	"strings"

	"callfleet/internal/localsfn/expr"
)

// Condition is a comparison or a combination of conditions.
type Condition interface {
	// Holds reports whether the condition is true; the error is an
	// *expr.Error.
	Holds(scope *expr.Scope) (bool, error)
}

// IsOperator reports whether name is a comparison operator of the language.
func IsOperator(name string) bool {
	if _, ok := typeTests[name]; ok || name == "StringMatches" {
		return true
	}
	f, relation := split(strings.TrimSuffix(name, "Path"))
	return f != 0 && relation != 0 && f != matches
}

// IsTypeTest reports whether the operator looks at a value's type only; its
// operand is a boolean.
func IsTypeTest(operator string) bool {
	_, ok := typeTests[operator]
	return ok
}

// Test is a comparison by a type test.
func Test(operator string, variable *expr.Path, want bool) Condition {
	return comparison{variable: variable, test: typeTests[operator], want: want, presence: operator == "IsPresent"}
}

// Compare is a comparison with an operand of the definition. The problem is ""
// or what is wrong with the operand.
func Compare(operator string, variable *expr.Path, operand expr.Value) (c Condition, problem string) {
	f, accept := split(operator)
	if !f.accepts(operand) {
		return nil, f.expectation()
	}
	return comparison{variable: variable, family: f, accept: accept, operand: operand}, ""
}

// ComparePath is a comparison with an operand read at run time; operator is
// without its suffix "Path".
func ComparePath(operator string, variable, operand *expr.Path) Condition {
	f, accept := split(operator)
	return comparison{variable: variable, family: f, accept: accept, operandPath: operand}
}

// All holds if all of the conditions do.
func All(conditions []Condition) Condition { return combination{conditions: conditions} }

// Any holds if one of the conditions does.
func Any(conditions []Condition) Condition { return combination{any: true, conditions: conditions} }

// Not holds if c does not.
func Not(c Condition) Condition { return negation{c} }

// split takes "NumericLessThan" apart; the zeros say it is no operator.
func split(name string) (family, relation) {
	if name == "StringMatches" {
		return matches, equal
	}
	for _, f := range []family{stringly, numeric, boolean, timestamp} {
		if rest, ok := strings.CutPrefix(name, f.prefix()); ok {
			if f == boolean && rest != "Equals" {
				return 0, 0
			}
			return f, relations[rest]
		}
	}
	return 0, 0
}

// family is what a comparison operator compares.
type family uint8

const (
	stringly family = iota + 1
	numeric
	boolean
	timestamp
	matches
)

func (f family) prefix() string {
	return [...]string{"", "String", "Numeric", "Boolean", "Timestamp", "StringMatches"}[f]
}

// accepts reports whether v can stand in a definition as an operand.
func (f family) accepts(v expr.Value) bool {
	switch f {
	case numeric:
		return v.Kind() == expr.KindNumber
	case boolean:
		return v.Kind() == expr.KindBool
	case timestamp:
		_, ok := ParseTimestamp(v.Text())
		return v.Kind() == expr.KindString && ok
	default:
		return v.Kind() == expr.KindString
	}
}

func (f family) expectation() string {
	switch f {
	case numeric:
		return "Expected value of type Number"
	case boolean:
		return "Expected value of type Boolean"
	case timestamp:
		return "String does not match RFC3339 timestamp"
	default:
		return "Expected value of type String"
	}
}

// relation is the set of orders a comparison accepts.
type relation uint8

const (
	less relation = 1 << iota
	equal
	greater
)

// relations are the second halves of the operators' names.
var relations = map[string]relation{
	"Equals": equal, "LessThan": less, "GreaterThan": greater,
	"LessThanEquals": less | equal, "GreaterThanEquals": greater | equal,
}

// typeTests are the operators that look at the kind of a value.
var typeTests = map[string]func(expr.Value) bool{
	"IsPresent": func(v expr.Value) bool { return !v.IsAbsent() },
	"IsNull":    func(v expr.Value) bool { return v.Kind() == expr.KindNull },
	"IsNumeric": func(v expr.Value) bool { return v.Kind() == expr.KindNumber },
	"IsString":  func(v expr.Value) bool { return v.Kind() == expr.KindString },
	"IsBoolean": func(v expr.Value) bool { return v.Kind() == expr.KindBool },
	"IsTimestamp": func(v expr.Value) bool {
		_, ok := ParseTimestamp(v.Text())
		return v.Kind() == expr.KindString && ok
	},
}

// comparison is one operator applied to a variable.
type comparison struct {
	variable *expr.Path

	// test and want belong to the type tests; presence marks IsPresent, for
	// which a path that finds nothing is an answer.
	test     func(expr.Value) bool
	want     bool
	presence bool

	family      family
	accept      relation
	operand     expr.Value
	operandPath *expr.Path
}

// Holds applies the operator. Values of different types are simply not equal,
// less or greater.
func (c comparison) Holds(scope *expr.Scope) (bool, error) {
	v, found := c.variable.Lookup(scope)
	if c.presence {
		return found == c.want, nil
	}
	if !found {
		return false, invalidVariable(c.variable)
	}
	if c.test != nil {
		return c.test(v) == c.want, nil
	}
	operand := c.operand
	if c.operandPath != nil {
		if operand, found = c.operandPath.Lookup(scope); !found {
			return false, invalidVariable(c.operandPath)
		}
	}
	order, ok := c.family.compare(v, operand)
	return ok && c.accept&order != 0, nil
}

func invalidVariable(path *expr.Path) error {
	return &expr.Error{
		Name:    expr.Runtime,
		Message: "Invalid path '" + path.String() + "': The choice state's condition path references an invalid value.",
	}
}

// compare orders a and b; ok is false if they are not both of the family.
func (f family) compare(a, b expr.Value) (order relation, ok bool) {
	switch f {
	case numeric:
		if a.Kind() != expr.KindNumber || b.Kind() != expr.KindNumber {
			return 0, false
		}
		return compareNumbers(a, b), true
	case boolean:
		if a.Kind() != expr.KindBool || b.Kind() != expr.KindBool || a.Bool() != b.Bool() {
			return 0, false
		}
		return equal, true
	}
	if a.Kind() != expr.KindString || b.Kind() != expr.KindString {
		return 0, false
	}
	switch f {
	case timestamp:
		x, okX := ParseTimestamp(a.Text())
		y, okY := ParseTimestamp(b.Text())
		return sign(x.Compare(y)), okX && okY
	case matches:
		return equal, wildcard(b.Text(), a.Text())
	default:
		return sign(strings.Compare(a.Text(), b.Text())), true
	}
}

// compareNumbers keeps the precision of whole numbers.
func compareNumbers(a, b expr.Value) relation {
	x, okX := a.Int()
	y, okY := b.Int()
	if okX && okY {
		return sign(cmp.Compare(x, y))
	}
	return sign(cmp.Compare(a.Float(), b.Float()))
}

func sign(order int) relation {
	switch {
	case order < 0:
		return less
	case order > 0:
		return greater
	}
	return equal
}

// wildcard matches text against a pattern in which "*" stands for any text and
// a backslash takes the meaning off the character after it.
func wildcard(pattern, text string) bool {
	// at and from are where to try again with the latest star taking one more
	// byte.
	var i, j int
	at, from := -1, 0
	for j < len(text) {
		if i < len(pattern) && pattern[i] == '*' {
			at, from = i, j
			i++
			continue
		}
		k := i
		if k+1 < len(pattern) && pattern[k] == '\\' {
			k++
		}
		if k < len(pattern) && pattern[k] == text[j] {
			i, j = k+1, j+1
			continue
		}
		if at < 0 {
			return false
		}
		from++
		i, j = at+1, from
	}
	return strings.Trim(pattern[i:], "*") == ""
}

// combination is And, or Or if any.
type combination struct {
	any        bool
	conditions []Condition
}

// Holds looks no further than it must.
func (c combination) Holds(scope *expr.Scope) (bool, error) {
	for _, condition := range c.conditions {
		holds, err := condition.Holds(scope)
		if err != nil {
			return false, err
		}
		if holds == c.any {
			return c.any, nil
		}
	}
	return !c.any, nil
}

// negation is Not.
type negation struct{ condition Condition }

// Holds is the opposite of what is inside.
func (n negation) Holds(scope *expr.Scope) (bool, error) {
	holds, err := n.condition.Holds(scope)
	return !holds && err == nil, err
}
