package starter

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// outageTold is the time between two logs of the same outage.
	outageTold = time.Minute
	// outageOver is how long nothing must have failed for it to be over. It is
	// longer than the longest pause between two tries.
	outageOver = lastPause + 5*time.Second
)

// outage is a time in which starts fail, other than for a quota or for what is
// wrong with a request. One error of many starts is logged, not each.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time // guarded by mu: of the first failure; zero: there is no outage
	last  time.Time // guarded by mu: of the last failure
	told  time.Time // guarded by mu: of the last log
}

// failed takes note of a start that failed.
func (o *outage) failed(ctx context.Context, id string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.since.IsZero() || now.Sub(o.last) > outageOver {
		o.since = now
	}
	o.last = now
	if now.Sub(o.told) < outageTold {
		return
	}
	o.told = now
	o.log.WarnContext(ctx, "executions cannot be started: keeping their requests, and trying again until they can",
		"request", id, "error", err, "since", now.Sub(o.since).Round(time.Second))
}

// passed takes note of a start that succeeded.
func (o *outage) passed(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() || time.Since(o.last) < outageOver {
		return // what fails now and then is still the same outage
	}
	o.log.InfoContext(ctx, "executions are started again", "outage", o.last.Sub(o.since).Round(time.Second))
	o.since = time.Time{}
}

// lasts reports whether starts have failed lately.
func (o *outage) lasts() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero() && time.Since(o.last) < outageOver
}
