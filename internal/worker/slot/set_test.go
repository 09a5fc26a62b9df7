package slot

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errGone = errors.New("gone")

// What a hook costs when calls come one by one (every call has two edges), and
// when there is always another under way (no edge).
func BenchmarkSlots(b *testing.B) {
	edges := 0
	for name, hook := range map[string]func(bool){"nobody": nil, "hook": func(bool) { edges++ }} {
		for work, busy := range map[string]int{"one by one": 0, "busy": 1} {
			b.Run(name+"/"+work, func(b *testing.B) {
				s := New(64, hook)
				s.Take(busy)
				for b.Loop() {
					s.Take(1)
					s.Release()
				}
			})
		}
	}
}

// A call that comes back has a slot before any new task, also one that was free
// a moment ago for the intake that gathers.
func TestSlotsForThoseWhoComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(2, nil)
		s.Take(2)
		back := make(chan error, 2)
		for range 2 {
			go func() { back <- s.Reclaim(t.Context()) }()
			synctest.Wait()
		}
		gone, cancel := context.WithCancelCause(t.Context())
		cancel(errGone)
		if err := s.Reclaim(gone); !errors.Is(err, errGone) {
			t.Errorf("reclaimed for one who has left: %v", err)
		}
		for range 2 {
			s.Release()
			if err := <-back; err != nil || s.available() != 0 {
				t.Errorf("%v with %d free, want the slot handed over", err, s.available())
			}
		}
		s.Release()
		free := make(chan int, 1)
		go func() {
			n, _ := s.Wait(t.Context(), 2)
			free <- n
		}()
		synctest.Wait() // it gathers
		if err := s.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * gatherFor)
		select {
		case n := <-free:
			t.Fatalf("the intake got %d slots where there was none", n)
		default:
		}
		s.Release()
		if n := <-free; n != 1 {
			t.Errorf("the intake got %d slots, want 1", n)
		}
	})
}
