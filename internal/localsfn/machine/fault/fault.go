// Package fault holds the errors of states: their wording, what ErrorEquals
// covers and when to try again.
package fault

import (
	"errors"
	"fmt"
	"math"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
)

const (
	all              = "States.ALL"
	taskFailed       = "States.TaskFailed"
	timeout          = "States.Timeout"
	heartbeatTimeout = "States.HeartbeatTimeout"
)

// maxDelay bounds what a BackoffRate can make of an interval.
const maxDelay = 99999999 * time.Second

// Fault is an error on its way to whoever handles it.
type Fault struct {
	// Name and Cause are nil when it has none.
	Name, Cause *string
	// Final cannot be retried or caught.
	Final bool
	// Heartbeat marks a States.Timeout for want of a heartbeat.
	Heartbeat bool
}

// New is a fault with a name and a cause.
func New(name, cause string) Fault { return Fault{Name: &name, Cause: &cause} }

// Timeout is a task's timeout, or its missed heartbeat. AWS gives both the
// same name and no cause.
func Timeout(heartbeat bool) Fault {
	name := timeout
	return Fault{Name: &name, Heartbeat: heartbeat}
}

// InState is a fault worded as AWS words those of its own: with the state and
// the number of the event that entered it. States.Runtime is final.
func InState(state string, entered int64, name, message string) Fault {
	f := New(name, fmt.Sprintf("An error occurred while executing the state '%s' (entered at the event id #%d). %s", state, entered, message))
	f.Final = name == expr.Runtime
	return f
}

// OfError is the fault of evaluating one of the state's fields.
func OfError(state string, entered int64, err error) Fault {
	var e *expr.Error
	if !errors.As(err, &e) {
		e = &expr.Error{Name: expr.Runtime, Message: err.Error()}
	}
	return InState(state, entered, e.Name, e.Message)
}

// TooLarge is what a result beyond the quota fails with; what names the state
// or the service.
func TooLarge(what string) Fault {
	return New(expr.DataLimitExceeded, "The state/task '"+what+"' returned a result with a size exceeding the maximum number of bytes service limit.")
}

// Matches reports whether ErrorEquals covers the fault.
func (f Fault) Matches(names []string) bool {
	if f.Final {
		return false
	}
	name := ""
	if f.Name != nil {
		name = *f.Name
	}
	for _, n := range names {
		switch {
		case n == all, n == name && f.Name != nil,
			n == taskFailed && name != timeout,
			n == heartbeatTimeout && f.Heartbeat:
			return true
		}
	}
	return false
}

// Caught is what a catcher hands on.
func (f Fault) Caught() expr.Value {
	return expr.Object(
		expr.Member{Key: "Error", Value: nullable(f.Name)},
		expr.Member{Key: "Cause", Value: nullable(f.Cause)},
	)
}

func nullable(s *string) expr.Value {
	if s == nil {
		return expr.Null()
	}
	return expr.String(*s)
}

// Backoff is how long to wait before the attempt after made retries.
func Backoff(r *asl.Retrier, made int64, rand interface{ Uint64() uint64 }) time.Duration {
	delay := float64(r.Interval) * math.Pow(r.BackoffRate, float64(made))
	if r.MaxDelay > 0 {
		delay = min(delay, float64(r.MaxDelay))
	}
	delay = min(delay, float64(maxDelay))
	if r.FullJitter {
		delay *= float64(rand.Uint64()>>11) / (1 << 53)
	}
	return time.Duration(delay)
}
