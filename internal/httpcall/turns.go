package httpcall

import (
	"context"
	"errors"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/lifecycle"
)

// atOnce are the turns of calls that share no limits.
type atOnce struct{}

var _ call.Turns = atOnce{}

// Begin sleeps until the time has come. It returns early with the cause when
// ctx is cancelled; at its deadline it returns nil, for the next attempt says
// so.
func (atOnce) Begin(ctx context.Context, notBefore time.Time) error {
	if notBefore.IsZero() {
		return nil
	}
	d := time.Until(notBefore)
	if d <= 0 {
		return interrupted(ctx)
	}
	if lifecycle.Sleep(ctx, d) != nil {
		return interrupted(ctx)
	}
	return nil
}

func (atOnce) End(call.Attempt) bool { return false }

// attemptOf is how an attempt ended, for those who give the turns.
func attemptOf(rep reply, flt *fault) call.Attempt {
	if flt != nil {
		return call.Attempt{Failure: flt.name}
	}
	a := call.Attempt{Status: rep.status}
	if rep.retriable() {
		a.RetryAfter, a.Asked = rep.asksFor(time.Now())
	}
	return a
}

// notBegun ends a call that got no turn for its next attempt. An answer that
// was to be tried again on our own account is the last one, and the result.
func (p *plan) notBegun(err error, wait pause, rep reply, flt *fault) (call.Result, error) {
	f, ok := errors.AsType[*call.Failure](err)
	switch {
	case !ok:
		return call.Result{}, err
	case flt == nil && !wait.asked:
		return p.end(rep)
	}
	return call.Result{}, &call.Failure{Name: f.Name, Cause: f.Cause, Attempts: p.attempts - p.held}
}
