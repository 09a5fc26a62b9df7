package value

import (
	"math"
	"strconv"
	"strings"
)

// JavaText returns the value as AWS puts it into a text: like Java's toString.
// Strings are bare, an object is {a=1, b=[x, y]}, null is null.
func (v Value) JavaText() string {
	if v.Kind() == KindString {
		return v.Text()
	}
	return view(v.appendJava(nil))
}

func (v Value) appendJava(dst []byte) []byte {
	switch v.Kind() {
	case KindString:
		return append(dst, v.Text()...)
	case KindNumber:
		return appendJavaNumber(dst, string(v.Number()))
	case KindArray:
		dst = append(dst, '[')
		for i, e := range v.Elements() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = e.appendJava(dst)
		}
		return append(dst, ']')
	case KindObject:
		dst = append(dst, '{')
		for i, m := range v.Members() {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(append(dst, m.Key...), '=')
			dst = m.Value.appendJava(dst)
		}
		return append(dst, '}')
	case KindBool:
		return strconv.AppendBool(dst, v.Bool())
	default:
		return append(dst, "null"...)
	}
}

// appendJavaNumber writes an integer as it is and anything else as
// Double.toString does: 1.5, 100.0, 1.0E10.
func appendJavaNumber(dst []byte, number string) []byte {
	if isInteger(number) {
		if isZero(number) {
			number = "0"
		}
		return append(dst, number...)
	}
	f, _ := strconv.ParseFloat(number, 64)
	abs := math.Abs(f)
	switch {
	case math.IsInf(f, 0):
		return append(dst, number...)
	case abs == 0 || abs >= 1e-3 && abs < 1e7:
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return append(dst, s...)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	e, _ := strconv.Atoi(exponent)
	dst = append(append(dst, mantissa...), 'E')
	return strconv.AppendInt(dst, int64(e), 10)
}
