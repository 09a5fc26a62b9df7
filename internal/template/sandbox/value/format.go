package value

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

var directive = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`%(?:\(([^)]*)\))?([-+ 0#]*)([0-9]*)(?:\.([0-9]+))?(.?)`)
})

const maxWidth = 1000 // of a formatted value

// Format is Python's format % values: values are one value, a tuple of them,
// or an object for %(name)s.
func (g *Budget) Format(format string, values any, at Place) (any, error) {
	list := []any{values}
	if l, ok := values.(*List); ok && l.Tuple {
		list = l.Items
	}
	object, _ := values.(*Object)
	if object != nil {
		if err := g.Open(object, at); err != nil {
			return nil, err
		}
	}
	var b strings.Builder
	rest, used := format, 0
	for {
		m := directive().FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		b.WriteString(rest[:m[0]])
		part := func(i int) string {
			if m[2*i] < 0 {
				return ""
			}
			return rest[m[2*i]:m[2*i+1]]
		}
		verb := part(5)
		if verb == "%" {
			b.WriteByte('%')
			rest = rest[m[1]:]
			continue
		}
		var v any
		switch {
		case m[2] >= 0:
			var ok bool
			if object == nil {
				return nil, ErrorAt(at, "%%(…) needs an object")
			} else if v, ok = object.Get(part(1)); !ok {
				return nil, ErrorAt(at, "the values have no %s", part(1))
			}
		case used == len(list):
			return nil, ErrorAt(at, "the format needs more values")
		default:
			v = list[used]
			used++
		}
		s, err := g.formatOne(v, [...]string{part(2), part(3), part(4)}, verb, at)
		if err != nil {
			return nil, err
		}
		b.WriteString(s)
		if err := g.Grow(b.Len(), at); err != nil {
			return nil, err
		}
		rest = rest[m[1]:]
	}
	if l, ok := values.(*List); used < len(list) && object == nil && (!ok || l.Tuple) {
		return nil, ErrorAt(at, "the format takes fewer values")
	}
	return b.String() + rest, g.Grow(b.Len()+len(rest), at)
}

// formatOne writes a value by the flags, width and precision of its place.
func (g *Budget) formatOne(v any, how [3]string, verb string, at Place) (string, error) {
	flags, width, precision := how[0], how[1], how[2]
	for _, n := range []string{width, precision} {
		if k, err := strconv.Atoi(n); n != "" && (err != nil || k > maxWidth) {
			return "", ErrorAt(at, "a width of more than %d is not allowed", maxWidth)
		}
	}
	if verb == "s" || verb == "r" {
		flags = strings.ReplaceAll(flags, "0", "") // fills numbers only
	}
	directive := "%" + flags + width
	if precision != "" {
		directive += "." + precision
	}
	if verb == "s" || verb == "r" {
		s, err := g.Str(v, at)
		if t, ok := TextOf(v); ok && verb == "r" {
			s = string(appendQuoted(nil, t))
		}
		return fmt.Sprintf(directive+"s", s), err
	}
	n, ok := NumberOf(v)
	if !ok {
		return "", ErrorAt(at, "%%%s needs a number, this is %s", verb, KindOf(v))
	}
	x, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return "", ErrorAt(at, "%%%s takes no number as large as that", verb)
	}
	switch verb {
	case "d", "i", "u", "x", "X", "o":
		if verb == "i" || verb == "u" {
			verb = "d"
		}
		if verb == "o" && strings.Contains(flags, "#") {
			if strings.Contains(flags, "0") {
				break // Go counts 0o beside the width
			}
			verb, directive = "O", strings.ReplaceAll(directive, "#", "") // 0o10, where Go's # is 010
		}
		if whole, ok := new(big.Int).SetString(string(n), 10); ok {
			return fmt.Sprintf(directive+verb, whole), nil
		} else if n.IsFloat() && verb == "d" && -1e15 < x && x < 1e15 {
			return fmt.Sprintf(directive+verb, int64(x)), nil
		}
	case "f", "F", "e", "E":
		return fmt.Sprintf(directive+verb, x), nil
	case "g", "G":
		if precision == "" {
			directive += ".6"
		}
		return fmt.Sprintf(directive+verb, x), nil
	}
	return "", ErrorAt(at, "%%%s is no format for this", verb)
}
