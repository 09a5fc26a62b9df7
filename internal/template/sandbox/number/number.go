// Package number computes with numbers as Python does. A number is the text
// that it prints as, so that no digit of a param is lost.
package number

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Written is a number of JSON as it prints. One with a fraction or an exponent
// prints as Python's float: 1.50 as 1.5, 1e2 as 100.0. One that a float does
// not hold as it is, which Python would make another number of, stays as it was
// written, and whole numbers have all their digits.
func Written(s string) string {
	if !IsFloat(s) {
		if s == "-0" {
			return "0"
		}
		return s
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	text := Float(x)
	if text == s || decimalOf(text) == decimalOf(s) {
		return text
	}
	return s
}

// decimal is a number apart from how it is written: digits without zeros at
// their ends, times ten to the exponent.
type decimal struct {
	negative         bool
	digits, exponent string
}

func decimalOf(s string) decimal {
	var d decimal
	s, d.negative = strings.CutPrefix(s, "-")
	s, power := cutExponent(s)
	whole, fraction, _ := strings.Cut(s, ".")
	d.digits = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(d.digits, "0")
	if trimmed == "" {
		d.digits = ""
		return d
	}
	n, err := strconv.Atoi(power)
	if err != nil {
		d.exponent = "beyond " + power // of no float
		return d
	}
	d.exponent = strconv.Itoa(n - len(fraction) + len(d.digits) - len(trimmed))
	d.digits = trimmed
	return d
}

func cutExponent(s string) (mantissa, power string) {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, "0"
}

// IsFloat tells a number with a fraction or an exponent from a whole one.
func IsFloat(s string) bool { return strings.ContainsAny(s, ".eE") }

// Float is x as Python prints it: the shortest text that is read as x again,
// with a fraction or an exponent. x must be finite.
func Float(x float64) string {
	format := byte('f')
	if a := math.Abs(x); a != 0 && (a < 1e-4 || a >= 1e16) {
		format = 'e'
	}
	text := strconv.FormatFloat(x, format, -1, 64)
	if !IsFloat(text) {
		text += ".0"
	}
	return text
}

// Int is the value of a whole number in 64 bits.
func Int(s string) (int64, bool) {
	i, err := strconv.ParseInt(s, 10, 64)
	return i, err == nil
}

// IsZero reports a number that is false.
func IsZero(s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && f == 0
}

// MaxDigits bounds the text of a number: to read a longer one takes time that
// no step is taken for.
const MaxDigits = 1000

const maxBits = 3320 // as many as MaxDigits

// Compare orders two numbers: whole ones by all their digits, also with a
// float. ok is false when one is too large for that.
func Compare(a, b string) (order int, ok bool) {
	x, okX := exact(a)
	y, okY := exact(b)
	if !okX || !okY {
		return 0, false
	}
	return x.Cmp(y), true
}

func exact(s string) (*big.Float, bool) {
	if !IsFloat(s) {
		if n, ok := whole(s); ok {
			return new(big.Float).SetInt(n), true
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, false
	}
	return big.NewFloat(x), true
}
