package filter

import (
	"strings"
	"unicode"

	"callfleet/internal/template/sandbox/value"
)

// Test finds a test of Jinja2, which is what stands behind "is"; nil is none.
func Test(name string) *Filter {
	switch name {
	case "none":
		return testOf(func(v any) bool { return v == nil })
	case "defined", "undefined":
		return &Filter{TakesUndefined: true, Apply: func(c *Call) (any, error) {
			_, missing := c.Of.(value.Undefined)
			return missing == (name == "undefined"), nil
		}}
	case "boolean":
		return testOf(func(v any) bool { _, ok := v.(bool); return ok })
	case "true", "false":
		return testOf(func(v any) bool { return v == (name == "true") })
	case "integer", "float":
		return testOf(func(v any) bool { n, ok := v.(value.Number); return ok && n.IsFloat() == (name == "float") })
	case "number":
		return testOf(func(v any) bool { _, ok := value.NumberOf(v); return ok })
	case "string":
		return testOf(func(v any) bool { _, ok := value.TextOf(v); return ok })
	case "mapping":
		return testOf(func(v any) bool { _, ok := v.(*value.Object); return ok })
	case "sequence", "iterable":
		return testOf(func(v any) bool {
			switch v.(type) {
			case string, value.Encoded, *value.List, *value.Object:
				return true
			}
			return false
		})
	case "callable":
		return testOf(func(v any) bool { _, ok := v.(value.Callable); return ok })
	case "escaped":
		return testOf(value.IsMarkup)
	case "upper", "lower":
		return &Filter{Apply: func(c *Call) (any, error) {
			s, err := c.str()
			return cased(s) && (name == "upper" && s == strings.ToUpper(s) || name == "lower" && s == strings.ToLower(s)), err
		}}
	case "odd", "even", "divisibleby":
		return divisible(name)
	case "filter", "test":
		return testOf(func(v any) bool {
			s, ok := value.TextOf(v)
			return ok && (name == "filter" && anyFilter(s) != nil || name == "test" && Test(s) != nil)
		})
	}
	return comparing(name)
}

func testOf(f func(any) bool) *Filter {
	return &Filter{Apply: func(c *Call) (any, error) { return f(c.Of), nil }}
}

func cased(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsUpper(r) || unicode.IsLower(r) })
}

func divisible(name string) *Filter {
	by := 0
	if name == "divisibleby" {
		by = 1
	}
	return &Filter{Params: []string{"num"}, MinArgs: by, MaxArgs: by, Apply: func(c *Call) (any, error) {
		divisor, rest := any(value.Number("2")), any(value.Number("0"))
		switch name {
		case "odd":
			rest = value.Number("1")
		case "divisibleby":
			divisor, _ = c.Arg(0)
		}
		if _, ok := value.NumberOf(c.Of); !ok {
			return nil, c.Errorf("%s is %s, %s needs a number", c.Path, value.KindOf(c.Of), name)
		}
		v, err := c.Arithmetic("%", c.Of, divisor, c.Place)
		if err != nil {
			return nil, err
		}
		return c.Equal(v, rest, c.Place, 0)
	}}
}

// comparing finds the tests that are operators by another name.
func comparing(name string) *Filter {
	op, ok := map[string]string{
		"eq": "==", "==": "==", "equalto": "==", "ne": "!=", "!=": "!=", "sameas": "==", "lt": "<", "<": "<", "lessthan": "<",
		"le": "<=", "<=": "<=", "gt": ">", ">": ">", "greaterthan": ">", "ge": ">=", ">=": ">=", "in": "in",
	}[name]
	if !ok {
		return nil
	}
	return &Filter{MinArgs: 1, MaxArgs: 1, Apply: func(c *Call) (any, error) {
		switch op {
		case "in":
			return c.In(c.Of, c.Args[0], c.Place)
		case "==", "!=":
			if name == "sameas" && value.KindOf(c.Of) != value.KindOf(c.Args[0]) {
				return false, nil
			}
			same, err := c.Equal(c.Of, c.Args[0], c.Place, 0)
			return same == (op == "=="), err
		}
		order, err := value.Compare(op, c.Of, c.Args[0], c.Place)
		return order < 0 && op[0] == '<' || order > 0 && op[0] == '>' || order == 0 && len(op) == 2, err
	}}
}
