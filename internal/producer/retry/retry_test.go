package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/evidence"
	"callfleet/internal/queue"
)

// A broker that is away is tried again for a minute, then the run breaks off.
func TestRetryGivesUpAfterAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := evidence.Logger(t)
		start, tries := time.Now(), 0
		down := errors.New("broker is down")
		err := Do(t.Context(), log, "publish", func() error { tries++; return down })
		if took := time.Since(start); !errors.Is(err, down) || took < giveUp || took > giveUp+2*maxPause || tries < 10 {
			t.Errorf("%d tries in %s, %v", tries, took, err)
		}
		tries = 0
		if err := Do(t.Context(), log, "publish", func() error { tries++; return queue.ErrTooLarge }); !errors.Is(err, queue.ErrTooLarge) || tries != 1 {
			t.Errorf("what is for good was tried %d times, %v", tries, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := Do(ctx, log, "publish", func() error { return down }); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}
