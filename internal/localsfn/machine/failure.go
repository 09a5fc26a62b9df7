package machine

import (
	"errors"
	"fmt"
	"math"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

const errTimeout = "States.Timeout"

// failure is an error on its way to whoever handles it.
type failure struct {
	name, cause *string
	// final cannot be retried or caught.
	final bool
	// heartbeat marks a States.Timeout for want of a heartbeat.
	heartbeat bool
}

// runtimeError is an error of evaluating a field of the frame's state.
func (d *decision) runtimeError(f *frame, err error) failure {
	var e *expr.Error
	if !errors.As(err, &e) {
		e = &expr.Error{Name: expr.Runtime, Message: err.Error()}
	}
	return d.prefixed(f, e.Name, e.Message)
}

// prefixed is a failure worded as AWS words those of its own.
func (d *decision) prefixed(f *frame, name, message string) failure {
	cause := fmt.Sprintf("An error occurred while executing the state '%s' (entered at the event id #%d). %s", f.state, f.enteredID, message)
	return failure{name: &name, cause: &cause, final: name == expr.Runtime}
}

// tooLarge is what a result beyond the quota fails with; what names the state
// or the service.
func tooLarge(what string) failure {
	return failure{
		name:  text(expr.DataLimitExceeded),
		cause: text("The state/task '" + what + "' returned a result with a size exceeding the maximum number of bytes service limit."),
	}
}

// fail handles the failure of a frame's state: it is retried, caught, or it
// ends the frame.
func (d *decision) fail(f *frame, why failure) {
	s := d.state(f)
	if !why.final && d.retry(f, s, why) {
		return
	}
	if f.group == nil && f.phase == phaseSettled {
		switch s.Kind {
		case asl.Map:
			d.emit(f, history.Event{Type: history.MapStateFailed, Name: s.Name})
		case asl.Parallel:
			d.emit(f, history.Event{Type: history.ParallelStateFailed, Name: s.Name})
		}
	}
	if !why.final {
		for i := range s.Catch {
			if why.matches(s.Catch[i].Errors) {
				d.catch(f, s, &s.Catch[i], why)
				return
			}
		}
	}
	d.failFrame(f, why)
}

// matches reports whether ErrorEquals covers the failure.
func (why failure) matches(names []string) bool {
	name := ""
	if why.name != nil {
		name = *why.name
	}
	for _, n := range names {
		switch {
		case n == "States.ALL", n == name && why.name != nil:
			return true
		case n == "States.TaskFailed" && name != errTimeout:
			return true
		case n == "States.HeartbeatTimeout" && why.heartbeat:
			return true
		}
	}
	return false
}

// retry schedules another attempt if a retrier has one left.
func (d *decision) retry(f *frame, s *asl.State, why failure) bool {
	for i := range s.Retry {
		r := &s.Retry[i]
		if !why.matches(r.Errors) {
			continue
		}
		var made int64
		if i < len(f.retries) {
			made = f.retries[i]
		}
		if made >= r.MaxAttempts {
			return false
		}
		d.emit(f, history.Event{Type: history.RetryScheduled, Index: int64(i), Deadline: d.now + d.backoff(r, made).Milliseconds()})
		return true
	}
	return false
}

// backoff is how long to wait before the attempt after made ones.
func (d *decision) backoff(r *asl.Retrier, made int64) time.Duration {
	delay := float64(r.Interval) * math.Pow(r.BackoffRate, float64(made))
	if r.MaxDelay > 0 {
		delay = min(delay, float64(r.MaxDelay))
	}
	delay = min(delay, float64(maxWait)*float64(time.Second))
	if r.FullJitter {
		delay *= float64(d.env.Rand.Uint64()>>11) / (1 << 53)
	}
	return time.Duration(delay)
}

// catch leaves a state by way of a catcher. OutputPath does not apply, and what
// goes wrong here is not caught again.
func (d *decision) catch(f *frame, s *asl.State, c *asl.Catcher, why failure) {
	caught := expr.Object(
		expr.Member{Key: "Error", Value: nullable(why.name)},
		expr.Member{Key: "Cause", Value: nullable(why.cause)},
	)
	out := exit{value: caught, assign: c.Assign, assignFrom: caught, next: c.Next}
	switch {
	case c.DiscardResult:
		out.value = f.input
	case c.ResultPath != nil:
		value, err := c.ResultPath.Set(f.input, caught)
		if err != nil {
			d.failFrame(f, d.runtimeError(f, err))
			return
		}
		out.value = value
	}
	if why := d.exit(f, s, out); why != nil {
		d.failFrame(f, *why)
	}
}

func nullable(s *string) expr.Value {
	if s == nil {
		return expr.Null()
	}
	return expr.String(*s)
}

// failFrame ends a frame with a failure that its state did not handle.
func (d *decision) failFrame(f *frame, why failure) {
	if f.parent == nil {
		d.failExecution(f, why)
		return
	}
	d.failGroup(f, why)
}

// failExecution ends the execution; f is the frame that ended it.
func (d *decision) failExecution(f *frame, why failure) {
	e := history.Event{Type: history.ExecutionFailed, Error: why.name, Cause: why.cause, Prev: f.last}
	d.emit(d.x.root, e)
}
