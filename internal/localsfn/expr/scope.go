package expr

import (
	"callfleet/internal/jsonpath"
)

// Names of the errors that an evaluation may end in.
const (
	Runtime                = "States.Runtime"
	IntrinsicFailure       = "States.IntrinsicFailure"
	DataLimitExceeded      = "States.DataLimitExceeded"
	ResultPathMatchFailure = "States.ResultPathMatchFailure"
	ReferencePathConflict  = "States.ReferencePathConflict"
)

// MaxBytes bounds the size of what one evaluation may build. It is four times
// what AWS lets a state pass on, which the machine checks.
const MaxBytes = jsonpath.MaxBytes

// Error is a failure of an evaluation as a state machine sees it.
type Error struct {
	// Name is the error name, such as States.Runtime.
	Name string
	// Message is AWS's wording, without the prefix that names the state.
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func tooLarge() *Error {
	return &Error{DataLimitExceeded, "The result of the expression exceeds the maximum number of bytes."}
}

// Scope is what an expression may refer to. Fields it does not use may be unset.
type Scope struct {
	// Input is "$".
	Input Value
	// Context returns "$$"; it is called only by expressions that use it.
	Context func() Value
	// Var returns the variable "$name".
	Var func(name string) (Value, bool)
	// Rand feeds States.MathRandom and States.UUID.
	Rand interface{ Uint64() uint64 }
}
