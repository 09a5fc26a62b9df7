package blob

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrRefused says that the store will not do it, however often it is asked: no
// access, no bucket, too large.
var ErrRefused = errors.New("the blob store refuses")

const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	oneTry     = 10 * time.Second
)

// Try does what a store is asked for until it is done, until the error is
// ErrRefused, ErrNotFound or ErrForeign, or until ctx ends, whose cause is then
// wrapped besides the error. The context of one try ends after 10 s.
func Try(ctx context.Context, do func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		once, cancel := context.WithTimeout(ctx, oneTry)
		err := do(once)
		cancel()
		switch {
		case err == nil, errors.Is(err, ErrRefused), errors.Is(err, ErrNotFound), errors.Is(err, ErrForeign):
			return err
		case ctx.Err() != nil:
			return ended(ctx, err)
		}
		t := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ended(ctx, err)
		}
	}
}

func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}
