// Package number computes with numbers as Python does. A number is the text
// that it prints as, so that a whole one keeps all its digits.
package number

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

var errTooLarge = errors.New("holds a number that is too large (1.8e308 is the largest with a fraction or an exponent): give it as a text")

// Written is a number of JSON as Python prints it. A whole one has all its
// digits; one with a fraction or an exponent is a float, as in JavaScript too:
// 1.50 is 1.5, 1e2 is 100.0, 0.1000000000000000055 is 0.1. One beyond the floats,
// of which Python makes inf, is an error.
func Written(s string) (string, error) {
	if !IsFloat(s) {
		if s == "-0" {
			return "0", nil
		}
		return s, nil
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", errTooLarge
	}
	return Float(x), nil
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
