// Package value is the JSON value the engine computes with: immutable, order
// preserving, lazy, and faithful to the text it was read from.
package value

import (
	"encoding/json"
	"errors"
)

// Kind is the JSON type of a Value.
type Kind uint8

// The kinds of a Value. Absent is the kind of the zero Value and is not null.
const (
	Absent Kind = iota
	KindNull
	KindBool
	KindNumber
	KindString
	KindArray
	KindObject
)

// Value is an immutable JSON value.
type Value struct{ n *node }

type node struct{ text []byte }

// Member is one key of an object with its value.
type Member struct {
	Key   string
	Value Value
}

var errStub = errors.New("parse: under construction")

func Parse(text []byte) (Value, error)              { return Value{}, errStub }
func Raw(text json.RawMessage) Value                { return Value{&node{text}} }
func Null() Value                                   { return Value{} }
func Bool(b bool) Value                             { return Value{} }
func String(s string) Value                         { return Value{} }
func Int(i int64) Value                             { return Value{} }
func Float(f float64) Value                         { return Value{} }
func Number(text string) Value                      { return Value{} }
func Array(elements ...Value) Value                 { return Value{} }
func Object(members ...Member) Value                { return Value{} }
func Equal(a, b Value) bool                         { return false }
func (v Value) Kind() Kind                          { return Absent }
func (v Value) IsAbsent() bool                      { return v.n == nil }
func (v Value) Bool() bool                          { return false }
func (v Value) Text() string                        { return "" }
func (v Value) Number() json.Number                 { return "" }
func (v Value) Float() float64                      { return 0 }
func (v Value) Int() (int64, bool)                  { return 0, false }
func (v Value) Len() int                            { return 0 }
func (v Value) Index(i int) Value                   { return Value{} }
func (v Value) Get(key string) Value                { return Value{} }
func (v Value) Members() []Member                   { return nil }
func (v Value) Elements() []Value                   { return nil }
func (v Value) With(key string, member Value) Value { return Value{} }
func (v Value) JSON() json.RawMessage               { return nil }
func (v Value) AppendJSON(dst []byte) []byte        { return dst }
func (v Value) Size() int                           { return 0 }
