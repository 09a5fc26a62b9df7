// Package intrinsic is the library of functions that a JSONPath state of AWS
// Step Functions can call: what each does with arguments already evaluated.
package intrinsic

import (
	"errors"
	"fmt"
	"math"

	"callfleet/internal/jsonpath/value"
)

// Limits of AWS's functions, and one of ours: no function may build a value of
// more than MaxBytes, four times what AWS lets a state pass on.
const (
	MaxBytes      = 1 << 20
	maxRange      = 1000
	maxCharacters = 10_000
)

// ErrTooLarge is the error of a call whose result would exceed MaxBytes.
var ErrTooLarge = errors.New("the result is too large")

// Source is a source of random bits.
type Source interface{ Uint64() uint64 }

// Function is one intrinsic function.
type Function struct {
	name     string
	min, max int // numbers of arguments
	apply    func(args []value.Value, rand Source) (value.Value, error)
}

const anyNumber = math.MaxInt

// Lookup returns the function of a name such as "States.Format".
func Lookup(name string) (*Function, bool) {
	f, ok := library[name]
	return f, ok
}

// Accepts reports whether the function can be called with n arguments.
func (f *Function) Accepts(n int) bool { return n >= f.min && n <= f.max }

// Name returns the name the function is called by.
func (f *Function) Name() string { return f.name }

// Apply calls the function. An error says what is wrong with the arguments.
func (f *Function) Apply(args []value.Value, rand Source) (value.Value, error) {
	if !f.Accepts(len(args)) {
		return value.Value{}, fmt.Errorf("invalid number of arguments for %s", f.name)
	}
	return f.apply(args, rand)
}

// library is never written to.
var library = byName(
	&Function{"States.Array", 0, anyNumber, pure(array)},
	&Function{"States.ArrayPartition", 2, 2, pure(arrayPartition)},
	&Function{"States.ArrayContains", 2, 2, pure(arrayContains)},
	&Function{"States.ArrayRange", 3, 3, pure(arrayRange)},
	&Function{"States.ArrayGetItem", 2, 2, pure(arrayGetItem)},
	&Function{"States.ArrayLength", 1, 1, pure(arrayLength)},
	&Function{"States.ArrayUnique", 1, 1, pure(arrayUnique)},
	&Function{"States.Base64Encode", 1, 1, pure(base64Encode)},
	&Function{"States.Base64Decode", 1, 1, pure(base64Decode)},
	&Function{"States.Format", 1, anyNumber, pure(format)},
	&Function{"States.Hash", 2, 2, pure(hash)},
	&Function{"States.JsonMerge", 3, 3, pure(jsonMerge)},
	&Function{"States.JsonToString", 1, 1, pure(jsonToString)},
	&Function{"States.MathAdd", 2, 2, pure(mathAdd)},
	&Function{"States.MathRandom", 2, 3, mathRandom},
	&Function{"States.StringSplit", 2, 2, pure(stringSplit)},
	&Function{"States.StringToJson", 1, 1, pure(stringToJSON)},
	&Function{"States.UUID", 0, 0, uuid},
)

func byName(functions ...*Function) map[string]*Function {
	m := make(map[string]*Function, len(functions))
	for _, f := range functions {
		m[f.name] = f
	}
	return m
}

func pure(f func(args []value.Value) (value.Value, error)) func([]value.Value, Source) (value.Value, error) {
	return func(args []value.Value, _ Source) (value.Value, error) { return f(args) }
}

// argument checks the kind of the argument at i.
func argument(args []value.Value, i int, kind value.Kind) (value.Value, error) {
	if args[i].Kind() != kind {
		return value.Value{}, fmt.Errorf("argument %d must be of type %s but is %s", i+1, kind, args[i].Kind())
	}
	return args[i], nil
}

// text returns the string argument at i, if it is not too long to be encoded or
// hashed.
func text(args []value.Value, i int) (string, error) {
	v, err := argument(args, i, value.KindString)
	if err != nil {
		return "", err
	}
	s := v.Text()
	if len(s) > maxCharacters && len([]rune(s)) > maxCharacters {
		return "", fmt.Errorf("argument %d must have no more than %d characters", i+1, maxCharacters)
	}
	return s, nil
}

// integer returns the numeric argument at i, rounded half up as AWS does: 1.5
// is 2, -1.5 is -1.
func integer(args []value.Value, i int) (int64, error) {
	v, err := argument(args, i, value.KindNumber)
	if err != nil {
		return 0, err
	}
	n, ok := v.Int()
	if !ok {
		f := math.Floor(v.Float() + 0.5)
		if math.Abs(f) > math.MaxInt32+1 {
			return 0, outOfRange(i)
		}
		n = int64(f)
	}
	if n < math.MinInt32 || n > math.MaxInt32 {
		return 0, outOfRange(i)
	}
	return n, nil
}

func outOfRange(i int) error {
	return fmt.Errorf("argument %d must be between %d and %d", i+1, math.MinInt32, math.MaxInt32)
}
