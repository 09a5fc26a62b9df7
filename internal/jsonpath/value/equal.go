package value

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// Equal reports whether a and b are the same JSON value: numbers by what they
// amount to, objects whatever the order of their keys. Absent equals absent.
func Equal(a, b Value) bool {
	if a.n == b.n {
		return true
	}
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case KindNull:
		return true
	case KindBool:
		return a.Bool() == b.Bool()
	case KindNumber:
		return equalNumbers(a, b)
	case KindString:
		return a.Text() == b.Text()
	}
	if a.n.text != nil && bytes.Equal(a.n.text, b.n.text) {
		return true
	}
	if a.Len() != b.Len() {
		return false
	}
	if a.Kind() == KindArray {
		other := b.Elements()
		for i, e := range a.Elements() {
			if !Equal(e, other[i]) {
				return false
			}
		}
		return true
	}
	for _, m := range a.Members() {
		if v := b.Get(m.Key); v.IsAbsent() || !Equal(m.Value, v) {
			return false
		}
	}
	return true
}

// equalNumbers compares integers exactly: as floats, large ones that differ
// would be equal.
func equalNumbers(a, b Value) bool {
	s, t := string(a.Number()), string(b.Number())
	if s == t {
		return true
	}
	if isInteger(s) && isInteger(t) {
		return isZero(s) && isZero(t)
	}
	return a.Float() == b.Float()
}

func isInteger(number string) bool { return !strings.ContainsAny(number, ".eE") }

// isZero reports whether an integer, which has no leading zeros, is 0 or -0.
func isZero(integer string) bool { return integer == "0" || integer == "-0" }

// AppendKey appends a text to dst that is the same for values that are Equal
// and differs for all others, to find duplicates by hashing.
func (v Value) AppendKey(dst []byte) []byte {
	switch v.Kind() {
	case KindNumber:
		if s := string(v.Number()); isInteger(s) && !isZero(s) && len(s) > 15 {
			return append(dst, s...) // a float could not hold it
		}
		return strconv.AppendFloat(dst, v.Float()+0, 'f', -1, 64)
	case KindString:
		return AppendQuoted(dst, v.Text())
	case KindArray:
		dst = append(dst, '[')
		for _, e := range v.Elements() {
			dst = append(e.AppendKey(dst), ',')
		}
		return append(dst, ']')
	case KindObject:
		members := slices.Clone(v.Members())
		slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
		dst = append(dst, '{')
		for _, m := range members {
			dst = append(AppendQuoted(dst, m.Key), ':')
			dst = append(m.Value.AppendKey(dst), ',')
		}
		return append(dst, '}')
	case KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case KindNull:
		return append(dst, "null"...)
	default:
		return dst
	}
}
