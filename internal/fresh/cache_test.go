package fresh

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// server counts what is fetched from it.
type server struct {
	mu      sync.Mutex
	fetches int
	err     error
	takes   time.Duration
}

func (s *server) fetch(ctx context.Context) (Item[int], error) {
	s.mu.Lock()
	s.fetches++
	n, err := s.fetches, s.err
	s.mu.Unlock()
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return Item[int]{}, ctx.Err()
	}
	now := time.Now()
	return Item[int]{n, now.Add(30 * time.Second), now.Add(60 * time.Second)}, err
}

func (s *server) answer(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func want(t *testing.T, c *Cache[string, int], s *server, value int, failure error) {
	t.Helper()
	got, err := c.Get(t.Context(), "k", s.fetch)
	if err == nil && got != value || !errors.Is(err, failure) {
		t.Errorf("got %d, %v, want %d, %v", got, err, value, failure)
	}
}

func TestOneFetchForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := New[string, int](Options{}), &server{takes: time.Second}
		defer c.Close()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { want(t, c, s, 1, nil) })
		}
		all.Wait()
		if s.fetches != 1 {
			t.Errorf("%d fetches, want 1", s.fetches)
		}
	})
}

func TestRefreshAheadServesTheOldValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := New[string, int](Options{}), &server{takes: time.Second}
		defer c.Close()
		want(t, c, s, 1, nil)
		time.Sleep(29 * time.Second)
		want(t, c, s, 1, nil)
		time.Sleep(2 * time.Second) // now it is to be fetched anew
		began := time.Now()
		want(t, c, s, 1, nil)
		want(t, c, s, 1, nil)
		if took := time.Since(began); took != 0 {
			t.Errorf("waited %s for a value that may serve", took)
		}
		time.Sleep(2 * time.Second)
		want(t, c, s, 2, nil)
		if s.fetches != 2 {
			t.Errorf("%d fetches, want 2", s.fetches)
		}
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		c, s := New[string, int](Options{}), &server{}
		defer c.Close()
		want(t, c, s, 1, nil)
		s.answer(down)
		time.Sleep(45 * time.Second)
		want(t, c, s, 1, nil) // it still serves, whatever the refresh brings
		synctest.Wait()
		want(t, c, s, 1, nil)
		if s.fetches != 2 {
			t.Errorf("%d fetches within a second, want 2", s.fetches)
		}
		time.Sleep(20 * time.Second)
		want(t, c, s, 0, down) // expired
		want(t, c, s, 0, down) // remembered
		if s.fetches != 3 {
			t.Errorf("%d fetches, want 3", s.fetches)
		}
		s.answer(nil)
		time.Sleep(time.Second)
		want(t, c, s, 4, nil)
	})
}

func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		c, s := New[string, int](Options{Timeout: 3 * time.Second}), &server{takes: time.Hour}
		defer c.Close()
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, gone)
		defer cancel()
		began := time.Now()
		if _, err := c.Get(ctx, "k", s.fetch); !errors.Is(err, gone) || time.Since(began) != time.Second {
			t.Errorf("error %v after %s, want the caller's cause after 1s", err, time.Since(began))
		}
		want(t, c, s, 0, context.DeadlineExceeded)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the fetch took %s, want 3s", took)
		}
	})
}

func TestDrop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := New[string, int](Options{}), &server{}
		defer c.Close()
		want(t, c, s, 1, nil)
		var all sync.WaitGroup
		for range 100 { // all were refused with value 1
			all.Go(func() { c.Drop("k", func(v int) bool { return v == 1 }) })
		}
		all.Wait()
		want(t, c, s, 2, nil)
		c.Drop("k", func(v int) bool { return v == 1 })
		c.Drop("other", func(int) bool { return true })
		want(t, c, s, 2, nil)
	})
}

func TestCloseEndsFetches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := New[string, int](Options{Timeout: time.Hour}), &server{takes: time.Hour}
		ended := make(chan error, 1)
		go func() {
			_, err := c.Get(t.Context(), "k", s.fetch)
			ended <- err
		}()
		synctest.Wait()
		began := time.Now()
		c.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
			t.Errorf("error %v after %s, want a fetch that was cancelled at once", err, time.Since(began))
		}
		want(t, c, s, 0, errClosed)
	})
}

func TestRoomIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := New[string, int](Options{Max: 10}), &server{}
		defer c.Close()
		for i := range 100 {
			if _, err := c.Get(t.Context(), strconv.Itoa(i), s.fetch); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(c.entries); n != 10 {
			t.Errorf("%d keys kept, want 10", n)
		}
	})
}
