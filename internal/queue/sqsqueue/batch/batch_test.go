package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/queue/sqsqueue/batch"
)

const linger = 5 * time.Millisecond

// recorder takes requests and holds each until it may go on.
type recorder struct {
	mu       sync.Mutex
	requests [][]int
	hold     chan struct{} // nil does not hold
	results  func([]int) []error
}

func (r *recorder) send(ctx context.Context, entries []int) []error {
	r.mu.Lock()
	r.requests = append(r.requests, entries)
	r.mu.Unlock()
	if r.hold != nil {
		select {
		case <-r.hold:
		case <-ctx.Done():
			return []error{ctx.Err()}
		}
	}
	if r.results != nil {
		return r.results(entries)
	}
	return make([]error, len(entries))
}

func (r *recorder) sizes() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	sizes := make([]int, len(r.requests))
	for i, entries := range r.requests {
		sizes[i] = len(entries)
	}
	return sizes
}

func (r *recorder) batcher(change func(*batch.Options)) *batch.Batcher[int] {
	o := batch.Options{Entries: 10, Bytes: 100, InFlight: 2, Linger: linger, Timeout: time.Minute}
	if change != nil {
		change(&o)
	}
	return batch.New(o, r.send)
}

func TestFullRequestGoesAtOnce(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		entries, size int
		now, later    []int // sizes of the requests
	}{
		"ten entries":              {10, 1, []int{10}, []int{10}},
		"one of them":              {1, 1, nil, []int{1}},
		"ten, and three linger":    {13, 1, []int{10}, []int{10, 3}},
		"bytes":                    {5, 40, []int{2, 2}, []int{2, 2}},
		"bytes that fit exactly":   {4, 50, []int{2, 2}, []int{2, 2}},
		"each is more than fits":   {2, 101, []int{1, 1}, []int{1, 1}},
		"no more than two at once": {45, 1, []int{10, 10}, []int{10, 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{hold: make(chan struct{})}
				b := r.batcher(nil)
				for i := range row.entries {
					b.Add(t.Context(), i, row.size, func(error) {})
				}
				synctest.Wait()
				if got := r.sizes(); !slices.Equal(got, row.now) {
					t.Errorf("requests of %v at once: want %v", got, row.now)
				}
				time.Sleep(linger)
				synctest.Wait()
				if got := r.sizes(); !slices.Equal(got, row.later) {
					t.Errorf("requests of %v after the linger: want %v", got, row.later)
				}
				close(r.hold)
				synctest.Wait()
				time.Sleep(linger) // what had to wait for a free request
				synctest.Wait()
				total := 0
				for _, n := range r.sizes() {
					total += n
				}
				if total != row.entries {
					t.Errorf("%d entries sent: want %d", total, row.entries)
				}
			})
		})
	}
}

// TestLingerIsBounded adds an entry now and then: the first one does not wait
// longer for it.
func TestLingerIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		b := r.batcher(nil)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * linger / 2)
				if err := b.Do(t.Context(), i, 1); err != nil {
					t.Error(err)
				}
				if took, most := time.Since(start), linger+time.Duration(i)*linger/2; took > most {
					t.Errorf("entry %d was there after %s: want %s", i, took, most)
				}
			})
		}
		wg.Wait()
		if got := r.sizes(); len(got) != 2 {
			t.Errorf("requests of %v: want 2 of them", got)
		}
	})
}

func TestNoLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := &recorder{}
		if err := r.batcher(func(o *batch.Options) { o.Linger = 0 }).Do(t.Context(), 1, 1); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %s: want nil at once", err, time.Since(start))
		}
	})
}

func TestResultsAreOfTheirEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("bad")
		r := &recorder{results: func(entries []int) []error {
			errs := make([]error, len(entries)-1) // none for the last one
			errs[1] = bad
			return errs
		}}
		b := r.batcher(nil)
		got := make([]error, 4)
		var wg sync.WaitGroup
		for i := range got {
			wg.Add(1)
			b.Add(t.Context(), i, 1, func(err error) { got[i] = err; wg.Done() })
		}
		wg.Wait()
		if got[0] != nil || got[1] != bad || got[2] != nil || got[3] == nil {
			t.Errorf("results %v: want the second and the last to be errors", got)
		}
	})
}

// TestLeavingCallers sees that nothing is sent for callers who left, and that a
// request ends when all of its callers have.
func TestLeavingCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("no time left")
		r := &recorder{hold: make(chan struct{})}
		b := r.batcher(func(o *batch.Options) { o.InFlight = 1 })
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		for i := range 3 { // sent, and held
			wg.Go(func() {
				if err := b.Do(ctx, i, 50); !errors.Is(err, cause) {
					t.Errorf("left caller: %v: want %v", err, cause)
				}
			})
			synctest.Wait()
		}
		stays := make(chan error, 1)
		go func() { stays <- b.Do(t.Context(), 99, 1) }()
		synctest.Wait()
		cancel(cause)
		wg.Wait()
		time.Sleep(linger)
		synctest.Wait()
		if got := r.requests; len(got) != 2 || !slices.Equal(got[0], []int{0, 1}) || !slices.Equal(got[1], []int{99}) {
			t.Errorf("requests %v: want [0 1] cancelled, and [99]", got)
		}
		close(r.hold)
		if err := <-stays; err != nil {
			t.Error(err)
		}
	})
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{hold: make(chan struct{})}
		start := time.Now()
		err := r.batcher(nil).Do(t.Context(), 1, 1)
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute+linger {
			t.Errorf("%v after %s: want the request's timeout", err, took)
		}
	})
}

// TestManyCallers has all results come home, whatever the timing.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	r := &recorder{results: func(entries []int) []error {
		errs := make([]error, len(entries))
		for i, e := range entries {
			errs[i] = fmt.Errorf("entry %d", e)
		}
		return errs
	}}
	b := r.batcher(nil)
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			if err := b.Do(t.Context(), i, i%30); err == nil || err.Error() != fmt.Sprintf("entry %d", i) {
				t.Errorf("entry %d: result %v", i, err)
			}
		})
	}
	wg.Wait()
	for _, n := range r.sizes() {
		if n > 10 {
			t.Errorf("request of %d entries", n)
		}
	}
}
