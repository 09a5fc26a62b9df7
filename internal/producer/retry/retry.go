// Package retry bridges the time in which a broker or a store is away.
package retry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/queue"
)

// How long a broker or a store may be away before the run breaks off.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
	giveUp     = time.Minute
)

// Do runs f until it succeeds, fails for good or has failed for a minute; what
// it does is told to log with each failure.
func Do(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	var failing time.Time // since when
	pause := firstPause
	for {
		err := f()
		if failing.IsZero() {
			failing = time.Now()
		}
		var failure *call.Failure
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &failure), errors.Is(err, queue.ErrTooLarge), errors.Is(err, queue.ErrClosed),
			errors.Is(err, queue.ErrNotFound), time.Since(failing) > giveUp:
			return fmt.Errorf("%s: %w", what, err)
		}
		log.WarnContext(ctx, "trying again", "what", what, "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		pause = min(2*pause, maxPause)
	}
}
