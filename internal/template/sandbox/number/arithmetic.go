package number

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

var errZero = errors.New("division by zero")

// Arithmetic joins two numbers by +, -, *, /, //, % or **.
func Arithmetic(op, a, b string) (string, error) {
	if (op == "/" || op == "%" || op == "//") && IsZero(b) {
		return "", errZero
	}
	if IsFloat(a) || IsFloat(b) {
		return ofFloats(op, a, b)
	}
	x, okX := whole(a)
	y, okY := whole(b)
	switch {
	case !okX || !okY:
		return "", fmt.Errorf("%s takes no whole number of more than %d digits", op, MaxDigits)
	case op == "/" && x.Sign() != 0: // rounded once, whatever the digits
		f, _ := new(big.Rat).SetFrac(x, y).Float64()
		if math.IsInf(f, 0) {
			return "", tooLarge(op)
		}
		return Float(f), nil
	case op == "/" || op == "**" && y.Sign() < 0:
		return ofFloats(op, a, b)
	}
	return ofWhole(op, x, y)
}

// whole reads a whole number of so many digits that computing with it takes no
// time to speak of.
func whole(s string) (*big.Int, bool) {
	if len(s) > MaxDigits {
		return nil, false
	}
	return new(big.Int).SetString(s, 10)
}

// ofWhole computes x op y and may change x.
func ofWhole(op string, x, y *big.Int) (string, error) {
	switch op {
	case "+":
		x.Add(x, y)
	case "-":
		x.Sub(x, y)
	case "*":
		x.Mul(x, y)
	case "**":
		if !y.IsInt64() || x.BitLen() > 1 && y.Int64() > maxBits || int64(x.BitLen()-1)*y.Int64() > maxBits {
			return "", tooLarge(op)
		}
		x.Exp(x, y, nil)
	case "//": // rounded down, as in Jinja2
		m := new(big.Int)
		if x.DivMod(x, y, m); m.Sign() != 0 && y.Sign() < 0 {
			x.Sub(x, big.NewInt(1))
		}
	case "%": // the sign of the divisor, as in Jinja2
		x.Mod(x, new(big.Int).Abs(y))
		if y.Sign() < 0 && x.Sign() != 0 {
			x.Add(x, y)
		}
	}
	if x.BitLen() > maxBits {
		return "", tooLarge(op)
	}
	return x.String(), nil
}

func tooLarge(op string) error { return fmt.Errorf("the result of %s is too large", op) }

func ofFloats(op, a, b string) (string, error) {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil {
		return "", fmt.Errorf("%s takes no number as large as that", op)
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
		x, _ = divMod(x, y)
	case "**":
		x = math.Pow(x, y)
	case "%":
		_, x = divMod(x, y)
	}
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return "", tooLarge(op)
	}
	return Float(x), nil
}

// divMod is Python's: the remainder is exact, the quotient follows from it, and
// a zero has a sign.
func divMod(x, y float64) (quotient, rest float64) {
	rest = math.Mod(x, y)
	quotient = (x - rest) / y
	if rest == 0 {
		rest = math.Copysign(0, y)
	} else if (rest < 0) != (y < 0) {
		rest += y
		quotient--
	}
	if quotient == 0 {
		return math.Copysign(0, x/y), rest
	}
	whole := math.Floor(quotient)
	if quotient-whole > 0.5 {
		whole++
	}
	return whole, rest
}
