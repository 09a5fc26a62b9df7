// Package secret finds the values that references such as
// secret://env/CALLFLEET_SECRET_TOKEN stand for, and keeps them hidden: a
// template holds the reference, a worker resolves it, and nothing prints it.
package secret

import (
	"fmt"
	"log/slog"
)

// hidden is what a Value shows of itself.
const hidden = "[secret]"

// Value is the text of a secret. However it is printed, logged or encoded, it
// shows nothing of it, also as a field of something else.
type Value struct {
	text *string // a pointer: fmt prints fields without asking their methods
}

// Of hides text.
func Of(text string) Value { return Value{&text} }

// Reveal is the text: for the request alone that is about to be sent.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// String hides the text.
func (Value) String() string { return hidden }

// GoString hides the text from %#v.
func (Value) GoString() string { return hidden }

// Format hides the text from every verb.
func (Value) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(hidden)) }

// LogValue hides the text from structured logs.
func (Value) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the text from JSON and other encodings.
func (Value) MarshalText() ([]byte, error) { return []byte(hidden), nil }
