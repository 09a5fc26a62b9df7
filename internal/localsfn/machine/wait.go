package machine

import (
	"math"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/asl/condition"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// maxWait is AWS's longest wait, in seconds.
const maxWait = 99999999

func (d *decision) executeWait(f *frame, s *asl.State, input expr.Value) {
	until, err := d.waitUntil(d.scope(f, input), s.Delay)
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	if until <= d.now {
		d.pass(f, s, input)
		return
	}
	d.emit(f, history.Event{Type: history.WaitScheduled, Deadline: until})
}

// finishWait leaves a Wait state whose time has come.
func (d *decision) finishWait(f *frame) {
	s := d.state(f)
	input, err := d.filter(f, s.Input, f.input)
	if err != nil {
		d.fail(f, d.runtimeError(f, err))
		return
	}
	d.pass(f, s, input)
}

// waitUntil is the time, in Unix milliseconds, until which to wait.
func (d *decision) waitUntil(scope *expr.Scope, delay asl.Delay) (int64, error) {
	switch {
	case delay.SecondsPath != nil:
		n, err := waitSeconds(scope, delay.SecondsPath)
		return d.now + n*1000, err
	case delay.TimestampPath != nil:
		at, err := waitTimestamp(scope, delay.TimestampPath)
		return d.checkedWait(at, err)
	case !delay.Timestamp.IsZero():
		return d.checkedWait(delay.Timestamp, nil)
	}
	return d.now + delay.Seconds*1000, nil
}

func (d *decision) checkedWait(at time.Time, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	if at.Sub(d.env.Now) > maxWait*time.Second {
		return 0, &expr.Error{Name: expr.Runtime, Message: "Wait state delay is too long."}
	}
	// Waiting must not end before the time given.
	return at.Add(time.Millisecond - 1).UnixMilli(), nil
}

func waitSeconds(scope *expr.Scope, path *expr.Path) (int64, error) {
	v, found := path.Lookup(scope)
	if !found {
		return 0, &expr.Error{Name: expr.Runtime, Message: "The SecondsPath parameter does not reference an input value: " + path.String()}
	}
	shown := path.String() + " == " + string(v.JSON())
	n, whole := v.Int()
	switch {
	case v.Kind() != expr.KindNumber || !whole:
		return 0, &expr.Error{Name: expr.Runtime, Message: "The SecondsPath parameter cannot be parsed as a long value: " + shown}
	case n < 0:
		return 0, &expr.Error{Name: expr.Runtime, Message: "The SecondsPath parameter references a negative value: " + shown}
	case n > maxWait || n > math.MaxInt64/1000:
		return 0, &expr.Error{Name: expr.Runtime, Message: "Wait state delay is too long."}
	}
	return n, nil
}

func waitTimestamp(scope *expr.Scope, path *expr.Path) (time.Time, error) {
	v, found := path.Lookup(scope)
	if !found {
		return time.Time{}, &expr.Error{Name: expr.Runtime, Message: "The TimestampPath parameter does not reference an input value: " + path.String()}
	}
	at, ok := condition.ParseTimestamp(v.Text())
	if v.Kind() != expr.KindString || !ok {
		shown := string(v.JSON())
		if v.Kind() == expr.KindString {
			shown = v.Text()
		}
		return time.Time{}, &expr.Error{Name: expr.Runtime, Message: "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: " + path.String() + " == " + shown}
	}
	return at, nil
}
