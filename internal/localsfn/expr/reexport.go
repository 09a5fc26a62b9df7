package expr

import (
	"encoding/json"

	"callfleet/internal/jsonpath/value"
)

// Value is an immutable JSON value; see package value.
type Value = value.Value

// Member is one key of an object with its value.
type Member = value.Member

// Kind is the JSON type of a Value.
type Kind = value.Kind

// The kinds of a Value. Absent is the kind of the zero Value and is not null.
const (
	Absent     = value.Absent
	KindNull   = value.KindNull
	KindBool   = value.KindBool
	KindNumber = value.KindNumber
	KindString = value.KindString
	KindArray  = value.KindArray
	KindObject = value.KindObject
)

// Parse reads one strict JSON text; see value.Parse.
func Parse(text []byte) (Value, error) { return value.Parse(text) }

// Raw makes a Value of trusted JSON text without reading it; see value.Raw.
func Raw(text json.RawMessage) Value { return value.Raw(text) }

// Null is JSON null.
func Null() Value { return value.Null() }

// Bool is true or false.
func Bool(b bool) Value { return value.Bool(b) }

// String is a JSON string.
func String(s string) Value { return value.String(s) }

// Int is a JSON number.
func Int(i int64) Value { return value.Int(i) }

// Float is a JSON number; see value.Float.
func Float(f float64) Value { return value.Float(f) }

// Number is a JSON number written as text; see value.Number.
func Number(text string) Value { return value.Number(text) }

// Array is a JSON array of elements; see value.Array.
func Array(elements ...Value) Value { return value.Array(elements...) }

// Object is a JSON object of members in that order; see value.Object.
func Object(members ...Member) Value { return value.Object(members...) }

// Equal reports whether a and b are the same JSON value; see value.Equal.
func Equal(a, b Value) bool { return value.Equal(a, b) }
