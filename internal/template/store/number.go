package store

import (
	"strconv"
	"strings"
)

// CanonicalNumber is one spelling of a decimal: 150, 1.50e2 and 0150.0 are
// "15e1". DynamoDB does not keep the one that was put. What is no number is left
// as it is.
func CanonicalNumber(s string) string {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(s, "+")), "e")
	if exponent == "" {
		exponent = "0"
	}
	e, err := strconv.Atoi(exponent)
	if err != nil {
		return s
	}
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	e -= len(fraction)
	short := strings.TrimRight(digits, "0")
	e += len(digits) - len(short)
	switch {
	case short == "":
		return "0"
	case negative:
		short = "-" + short
	}
	return short + "e" + strconv.Itoa(e)
}
