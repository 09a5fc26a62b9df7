package crew_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/queue/sqsqueue/crew"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAllJobsRun(t *testing.T) {
	t.Parallel()
	var c crew.Crew
	var ran atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				wg.Add(1)
				c.Go(func() { ran.Add(1); wg.Done() })
			}
		})
	}
	wg.Wait()
	if ran.Load() != 4000 {
		t.Errorf("%d jobs ran: want 4000", ran.Load())
	}
}

// TestJobsDoNotWait starts jobs that need each other.
func TestJobsDoNotWait(t *testing.T) {
	t.Parallel()
	var c crew.Crew
	meet := make(chan struct{})
	done := make(chan struct{})
	c.Go(func() { <-meet; close(done) })
	c.Go(func() { close(meet) })
	<-done
}

// TestIdleLeave gives jobs in all distances around the time that a goroutine
// stays: each runs once, and synctest finds no goroutine left.
func TestIdleLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c crew.Crew
		ran := 0
		for pause := time.Duration(0); pause < 200*time.Millisecond; pause += 20 * time.Millisecond {
			done := make(chan struct{})
			c.Go(func() { ran++; close(done) })
			<-done
			time.Sleep(pause)
		}
		if ran != 10 {
			t.Errorf("%d jobs ran: want 10", ran)
		}
	})
}
