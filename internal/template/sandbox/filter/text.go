package filter

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"

	"callfleet/internal/template/sandbox/number"
	"callfleet/internal/template/sandbox/value"
)

func wordCount(c *Call) (any, error) {
	s, err := c.str()
	if err != nil {
		return nil, err
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return value.WholeNumber(len(words)), c.Step(c.Place, len(s)/16)
}

// Trim is strip, lstrip and rstrip.
func Trim(of func(s, chars string) string, space func(string) string) func(*Call) (any, error) {
	return func(c *Call) (any, error) {
		s, err := c.str()
		if err != nil {
			return nil, err
		}
		if arg, ok := c.Arg(0); !ok || arg == nil {
			return space(s), nil
		}
		chars, err := c.TextArg(0, "")
		return of(s, chars), err
	}
}

// MaxWidth bounds how wide a text is made.
const MaxWidth = 10_000

// Pad puts spaces around a text: to its right (0), left (1) or on both
// sides (2).
func Pad(side, width int) func(*Call) (any, error) {
	return func(c *Call) (any, error) {
		s, err := c.str()
		if err != nil {
			return nil, err
		}
		n, err := c.Whole(0, "width", width, MaxWidth)
		if err != nil {
			return nil, err
		}
		fill, err := c.TextArg(1, " ")
		if err != nil {
			return nil, err
		}
		runes := len([]rune(s))
		missing := max(0, n-runes)
		left := 0
		switch side {
		case 1:
			left = missing
		case 2: // where Python puts the odd one
			left = missing/2 + missing&n&1
		}
		return strings.Repeat(fill, left) + s + strings.Repeat(fill, missing-left), nil
	}
}

// Replace is the filter and the method of this name.
func Replace(c *Call) (any, error) {
	s, err := c.str()
	if err != nil {
		return nil, err
	}
	var args [2]string
	for i := range args {
		arg, _ := c.Arg(i)
		if args[i], err = c.Str(arg, c.Place); err != nil {
			return nil, err
		}
	}
	n := -1
	if arg, ok := c.Arg(2); ok && arg != nil {
		if n, err = c.Whole(2, "count", -1, math.MaxInt32); err != nil {
			return nil, err
		}
	}
	found := strings.Count(s, args[0])
	if n >= 0 {
		found = min(found, n)
	}
	if err := c.Grow(len(s)+found*max(0, len(args[1])-len(args[0])), c.Place); err != nil {
		return nil, err
	}
	return strings.Replace(s, args[0], args[1], n), nil
}

func indent(c *Call) (any, error) {
	s, err := c.str()
	if err != nil {
		return nil, err
	}
	by, _ := c.Arg(0)
	space, isText := value.TextOf(by)
	if !isText {
		n, err := c.Whole(0, "width", 4, MaxWidth)
		if err != nil {
			return nil, err
		}
		space = strings.Repeat(" ", max(0, n))
	}
	if err := c.Grow(len(s)+len(space)*(1+strings.Count(s, "\n")), c.Place); err != nil {
		return nil, err
	}
	lines := strings.Split(s, "\n")
	for i := range lines {
		if i > 0 && (lines[i] != "" || c.flag(2, false)) || i == 0 && c.flag(1, false) {
			lines[i] = space + lines[i]
		}
	}
	return strings.Join(lines, "\n"), nil
}

func truncate(c *Call) (any, error) {
	s, ok := value.TextOf(c.Of)
	if !ok {
		return nil, c.Errorf("%s is %s, truncate needs a text", c.Path, value.KindOf(c.Of))
	}
	length, err := c.Whole(0, "length", 255, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	end, err := c.TextArg(2, "...")
	if err != nil {
		return nil, err
	}
	leeway, err := c.Whole(3, "leeway", 5, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	runes, tail := []rune(s), len([]rune(end))
	switch {
	case length < tail:
		return nil, c.Errorf("truncate needs a length of %d or more", tail)
	case leeway < 0:
		return nil, c.Errorf("truncate needs a leeway of 0 or more")
	case len(runes) <= length+leeway:
		return s, nil
	}
	cut := string(runes[:length-tail])
	if !c.flag(1, false) {
		if i := strings.LastIndex(cut, " "); i >= 0 {
			cut = cut[:i]
		}
	}
	return cut + end, nil
}

func format(c *Call) (any, error) {
	s, err := c.str()
	if err != nil {
		return nil, err
	}
	return c.Format(s, &value.List{Items: c.Args, Tuple: true}, c.Place)
}

func (c *Call) number() (value.Number, error) {
	n, ok := value.NumberOf(c.Of)
	if !ok {
		return "", c.Errorf("%s is %s, the filter needs a number", c.Path, value.KindOf(c.Of))
	}
	return n, nil
}

func absolute(c *Call) (any, error) {
	n, err := c.number()
	return value.Number(strings.TrimPrefix(string(n), "-")), err
}

// toInt reads a whole number, and takes its default, 0, for what is none.
func toInt(c *Call) (any, error) {
	base, err := c.Whole(1, "base", 10, 36)
	if err != nil || base < 0 || base == 1 {
		return nil, c.Errorf("the base must be a whole number from 2 to 36")
	}
	otherwise, ok := c.Arg(0)
	if !ok {
		otherwise = value.Number("0")
	}
	s, isText := value.TextOf(c.Of)
	n, isNumber := value.NumberOf(c.Of)
	if s = strings.TrimSpace(s); len(s) > number.MaxDigits {
		return otherwise, nil
	}
	if isText {
		if x, ok := wholeOf(s, base); ok {
			return value.Number(x.String()), nil
		}
		n = value.Number(s)
	} else if !isNumber {
		return otherwise, nil
	} else if !n.IsFloat() {
		return n, nil
	}
	x, err := strconv.ParseFloat(string(n), 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) || strings.ContainsAny(string(n), "xX_pP") {
		return otherwise, nil
	}
	whole, _ := big.NewFloat(math.Trunc(x)).Int(nil)
	return value.Number(whole.String()), nil
}

// wholeOf reads digits of a base with a sign, and with 0x when it is 16.
func wholeOf(s string, base int) (*big.Int, bool) {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 {
		return nil, false
	}
	sign := s[:len(s)-len(digits)]
	if base == 16 {
		digits = strings.TrimPrefix(strings.TrimPrefix(digits, "0x"), "0X")
	}
	if strings.ContainsAny(digits, "+-_") {
		return nil, false
	}
	return new(big.Int).SetString(sign+digits, base)
}

func toFloat(c *Call) (any, error) {
	otherwise, ok := c.Arg(0)
	if !ok {
		otherwise = value.Number("0.0")
	}
	s, isText := value.TextOf(c.Of)
	if n, isNumber := value.NumberOf(c.Of); isNumber {
		s = string(n)
	} else if !isText {
		return otherwise, nil
	}
	if s = strings.TrimSpace(s); len(s) > number.MaxDigits {
		return otherwise, nil
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) || strings.ContainsAny(s, "xX_pP") {
		return otherwise, nil
	}
	return value.FloatNumber(x), nil
}

// round gives a number with a fraction. As in Python, common is to the even
// neighbour when both are as near.
func round(c *Call) (any, error) {
	n, err := c.number()
	if err != nil {
		return nil, err
	}
	precision, err := c.Whole(0, "precision", 0, 100)
	if err != nil {
		return nil, err
	}
	x, err := strconv.ParseFloat(string(n), 64)
	if err != nil {
		return nil, c.Errorf("%s is too large", c.Path)
	}
	method, err := c.TextArg(1, "common")
	if err != nil {
		return nil, err
	}
	scale := math.Pow(10, float64(precision))
	switch method {
	case "common":
		switch {
		case !n.IsFloat() && precision >= 0:
			return n, nil
		case !n.IsFloat():
			return value.Number(strconv.FormatFloat(math.RoundToEven(x*scale)/scale, 'f', 0, 64)), nil
		case precision < 0:
			x = math.RoundToEven(x*scale) / scale
		default:
			if x, err = strconv.ParseFloat(strconv.FormatFloat(x, 'f', precision, 64), 64); err != nil {
				return nil, c.Errorf("%s is too large", c.Path)
			}
		}
	case "ceil":
		x = math.Ceil(x*scale)/scale + 0 // no -0.0
	case "floor":
		x = math.Floor(x*scale)/scale + 0
	default:
		return nil, c.Errorf(`the method of round must be "common", "ceil" or "floor"`)
	}
	return value.FloatNumber(x), nil
}
