package dedup_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/queue/sqsqueue/dedup"
)

// send claims an id and finishes the claim; it tells whether it was its own.
func send(m *dedup.Memory, id string, ok bool) bool {
	c, mine := m.Claim(id)
	if mine {
		m.Finish(c, ok)
	}
	return mine
}

func TestWindow(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		sent  bool
		after time.Duration
		again bool // it may be published again
	}{
		"at once":          {true, 0, false},
		"two minutes":      {true, 2 * time.Minute, false},
		"five minutes":     {true, 5 * time.Minute, true},
		"after a failure":  {false, 0, true},
		"almost a window":  {true, 2*time.Minute - 1, false},
		"after long years": {true, 1000 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := dedup.New().Of("tasks")
				send(m, "other", true)
				time.Sleep(time.Minute) // so that it is not the first of its generation
				send(m, "a", row.sent)
				time.Sleep(row.after)
				if got := send(m, "a", true); got != row.again {
					t.Errorf("published again: %t: want %t", got, row.again)
				}
			})
		})
	}
}

// TestRememberedThroughTurns publishes something every second: no id is
// forgotten within the window, whenever the generations change.
func TestRememberedThroughTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := dedup.New().Of("tasks")
		for i := range 600 {
			if !send(m, fmt.Sprint(i), true) {
				t.Fatalf("id %d is known, and new", i)
			}
			if old := i - 119; old >= 0 && send(m, fmt.Sprint(old), true) {
				t.Fatalf("id %d was forgotten after 119s", old)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestQueuesAreApart(t *testing.T) {
	t.Parallel()
	all := dedup.New()
	if !send(all.Of("tasks"), "a", true) || !send(all.Of("requests"), "a", true) || send(all.Of("tasks"), "a", true) {
		t.Error("an id counts on its own queue, and there alone")
	}
}

// TestOneClaimAtATime has many goroutines publish one id, the first of which
// fail.
func TestOneClaimAtATime(t *testing.T) {
	t.Parallel()
	m := dedup.New().Of("tasks")
	var sent, tried atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for {
				c, mine := m.Claim("a")
				switch {
				case mine:
					ok := tried.Add(1) == 10
					if ok {
						sent.Add(1)
					}
					m.Finish(c, ok)
				case c == nil:
					return
				default:
					<-c.Done()
					if c.Sent() {
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if sent.Load() != 1 || tried.Load() != 10 {
		t.Errorf("sent %d times in %d tries: want 1 in 10", sent.Load(), tried.Load())
	}
}
