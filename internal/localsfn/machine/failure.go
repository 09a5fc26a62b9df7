package machine

import (
	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine/eventtype"
	"callfleet/internal/localsfn/machine/fault"
)

// runtimeError is an error of evaluating a field of the frame's state.
func (d *decision) runtimeError(f *frame, err error) fault.Fault {
	return fault.OfError(f.state, f.enteredID, err)
}

// fail handles the failure of a frame's state: it is retried, caught, or it
// ends the frame.
func (d *decision) fail(f *frame, why fault.Fault) {
	s := d.state(f)
	if d.retry(f, s, why) {
		return
	}
	if (s.Kind == asl.Map || s.Kind == asl.Parallel) && f.group == nil && f.phase == phaseSettled {
		d.emit(f, history.Event{Type: eventtype.Failed(s.Kind), Name: s.Name})
	}
	for i := range s.Catch {
		if why.Matches(s.Catch[i].Errors) {
			d.catch(f, s, &s.Catch[i], why)
			return
		}
	}
	d.failFrame(f, why)
}

// retry schedules another attempt if a retrier has one left.
func (d *decision) retry(f *frame, s *asl.State, why fault.Fault) bool {
	for i := range s.Retry {
		r := &s.Retry[i]
		if !why.Matches(r.Errors) {
			continue
		}
		var made int64
		if i < len(f.retries) {
			made = f.retries[i]
		}
		if made >= r.MaxAttempts {
			return false
		}
		d.emit(f, history.Event{Type: history.RetryScheduled, Index: int64(i), Deadline: d.now + fault.Backoff(r, made, d.env.Rand).Milliseconds()})
		return true
	}
	return false
}

// catch leaves a state by way of a catcher. OutputPath does not apply, and what
// goes wrong here is not caught again.
func (d *decision) catch(f *frame, s *asl.State, c *asl.Catcher, why fault.Fault) {
	caught := why.Caught()
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

// failFrame ends a frame with a failure that its state did not handle.
func (d *decision) failFrame(f *frame, why fault.Fault) {
	if f.parent == nil {
		d.failExecution(f, why)
		return
	}
	d.failGroup(f, why)
}

// failExecution ends the execution; f is the frame that ended it.
func (d *decision) failExecution(f *frame, why fault.Fault) {
	d.emit(d.x.root, history.Event{Type: history.ExecutionFailed, Error: why.Name, Cause: why.Cause, Prev: f.last})
}
