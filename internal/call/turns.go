package call

import (
	"context"
	"time"
)

// Turns says when the attempts of one call may begin, because calls share
// limits.
type Turns interface {
	// Begin blocks until an attempt may begin, not before the given time. The
	// error is a *Failure when that is not before the deadline of ctx, or what
	// else keeps the call from being made.
	Begin(ctx context.Context, notBefore time.Time) error
	// End is told how an attempt ended, once for each Begin that returned nil.
	// held says that it was turned away, and that calls are held back because of
	// it: it does not count as an attempt.
	End(a Attempt) (held bool)
}

// Attempt is how one attempt ended.
type Attempt struct {
	Status  int         // of the answer, 0 without one
	Failure FailureName // "" with an answer
	// RetryAfter is how long the answer asks to wait, if Asked.
	RetryAfter time.Duration
	Asked      bool
}
