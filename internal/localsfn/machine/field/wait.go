package field

import (
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/asl/condition"
	"callfleet/internal/localsfn/expr"
)

// maxWait is AWS's longest wait, in seconds.
const maxWait = 99999999

// WaitUntil is the time, in Unix milliseconds, until which a Wait state that
// was reached now waits.
func WaitUntil(delay asl.Delay, scope *expr.Scope, now time.Time) (int64, error) {
	switch {
	case delay.SecondsPath != nil:
		n, err := waitSeconds(scope, delay.SecondsPath)
		return now.UnixMilli() + n*1000, err
	case delay.TimestampPath != nil:
		at, err := waitTimestamp(scope, delay.TimestampPath)
		if err != nil {
			return 0, err
		}
		return checkedWait(at, now)
	case !delay.Timestamp.IsZero():
		return checkedWait(delay.Timestamp, now)
	}
	return now.UnixMilli() + delay.Seconds*1000, nil
}

func checkedWait(at, now time.Time) (int64, error) {
	if at.Sub(now) > maxWait*time.Second {
		return 0, runtimeError("Wait state delay is too long.")
	}
	// Waiting must not end before the time given.
	return at.Add(time.Millisecond - 1).UnixMilli(), nil
}

func waitSeconds(scope *expr.Scope, path *expr.Path) (int64, error) {
	v, found := path.Lookup(scope)
	if !found {
		return 0, runtimeError("The SecondsPath parameter does not reference an input value: %s", path)
	}
	n, whole := v.Int()
	switch {
	case v.Kind() != expr.KindNumber || !whole:
		return 0, runtimeError("The SecondsPath parameter cannot be parsed as a long value: %s == %s", path, v.JSON())
	case n < 0:
		return 0, runtimeError("The SecondsPath parameter references a negative value: %s == %s", path, v.JSON())
	case n > maxWait:
		return 0, runtimeError("Wait state delay is too long.")
	}
	return n, nil
}

func waitTimestamp(scope *expr.Scope, path *expr.Path) (time.Time, error) {
	v, found := path.Lookup(scope)
	if !found {
		return time.Time{}, runtimeError("The TimestampPath parameter does not reference an input value: %s", path)
	}
	at, ok := condition.ParseTimestamp(v.Text())
	if v.Kind() != expr.KindString || !ok {
		return time.Time{}, runtimeError("The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: %s == %s", path, plain(v))
	}
	return at, nil
}
