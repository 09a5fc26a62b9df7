// Package outage logs that something fails again and again, without a line for
// each failure, and that it works again.
package outage

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// toldEvery is the time between two lines about one outage.
const toldEvery = time.Minute

// Options say what is logged.
type Options struct {
	// Failing is logged as a warning with the first failure and each minute,
	// Working when it is over.
	Failing, Working string
	// Quiet is how long nothing must have failed for an outage to be over. It
	// is longer than the longest pause between two tries.
	Quiet  time.Duration
	Logger *slog.Logger
}

// Log is about one thing that many goroutines try. Its methods are safe for
// concurrent use.
type Log struct {
	Options
	open atomic.Bool // there is an outage: spares successes the lock

	mu    sync.Mutex
	since time.Time // guarded by mu: of the first failure; zero: there is no outage
	last  time.Time // guarded by mu: of the last failure
	told  time.Time // guarded by mu: of the last line
}

// New logs nothing before something fails.
func New(o Options) *Log { return &Log{Options: o} }

// Failed takes note of a failure; attrs go with its line, if it gets one.
func (l *Log) Failed(ctx context.Context, err error, attrs ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.since.IsZero() || now.Sub(l.last) > l.Quiet {
		l.since = now
	}
	l.last = now
	l.open.Store(true)
	if now.Sub(l.told) < toldEvery {
		return
	}
	l.told = now
	l.Logger.WarnContext(ctx, l.Failing, append(attrs, "error", err, "since", now.Sub(l.since).Round(time.Second))...)
}

// Passed takes note of a success.
func (l *Log) Passed(ctx context.Context) {
	if !l.open.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() || time.Since(l.last) < l.Quiet {
		return // what fails now and then is still the same outage
	}
	l.Logger.InfoContext(ctx, l.Working, "outage", l.last.Sub(l.since).Round(time.Second))
	l.since = time.Time{}
	l.open.Store(false)
}

// Lasts reports whether it has failed lately.
func (l *Log) Lasts() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.since.IsZero() && time.Since(l.last) < l.Quiet
}
