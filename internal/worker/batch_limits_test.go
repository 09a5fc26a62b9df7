package worker_test

import (
	"net/http"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/limit"
)

// held is a worker of a few slots with a batch whose calls wait: their key is
// paused.
func held(t *testing.T, n int, policy limit.Policy) (b *bundle, key string, resume func()) {
	t.Helper()
	b = setup(t, time.Minute, answer)
	key = limit.HostKey(b.api)
	policy.Paused = true
	must(t, limit.Set(t.Context(), b.flows(t), key, policy))
	b.opts.Slots = 2
	return b, key, func() { must(t, limit.Resume(t.Context(), b.flows(t), key)) }
}

// The calls of a batch that wait for their turn take no slot of anybody, and
// each is made once when its turn comes.
func TestWaitingBatchTakesNoSlots(t *testing.T) {
	t.Parallel()
	const n = 50
	b, key, resume := held(t, n, limit.Policy{})
	store := b.batches(t)
	other := newAPI(t, answer)
	w, l := b.limited(t, limit.Options{})
	b.sendBatch(t, n)
	eventually(t, "all calls of the batch to wait", func() bool {
		s := l.Statuses()
		return len(s) == 1 && s[0].Key == key && s[0].Waiting == n
	})
	b.direct(t, "other", other.URL, 100)
	eventually(t, "the calls of another key", func() bool { return len(other.calls()) == 100 })
	if other.most > 2 || b.calls.Load() > 0 {
		t.Errorf("%d calls at once with 2 slots, %d of a paused key", other.most, b.calls.Load())
	}
	resume()
	m, outcomes := b.manifest(t, store)
	if m.Succeeded != n || len(outcomes) != n || b.calls.Load() != n {
		t.Errorf("%+v with %d outcomes after %d calls", m, len(outcomes), b.calls.Load())
	}
	eventually(t, "the ack", func() bool { return w.Stats().InFlight == 0 })
}

// A worker that stops hands a batch back whose calls wait, and the next one
// makes them.
func TestWaitingBatchIsHandedBack(t *testing.T) {
	t.Parallel()
	const n = 20
	b, _, resume := held(t, n, limit.Policy{})
	store := b.batches(t)
	w, l := b.limited(t, limit.Options{})
	b.sendBatch(t, n)
	eventually(t, "all calls of the batch to wait", func() bool { s := l.Statuses(); return len(s) == 1 && s[0].Waiting == n })
	began := time.Now()
	must(t, b.stop())
	if took := time.Since(began); took > 20*time.Second || w.Stats().HandedBack != 1 {
		t.Errorf("%+v after %s, want the batch handed back at once", w.Stats(), took)
	}
	resume()
	b.limited(t, limit.Options{})
	if m, _ := b.manifest(t, store); m.Succeeded != n || b.calls.Load() != n {
		t.Errorf("%+v after %d calls", m, b.calls.Load())
	}
}

// Calls for which there is no room to wait are looked at again: a batch has no
// queue to put them on.
func TestBatchLargerThanTheBacklog(t *testing.T) {
	t.Parallel()
	const n = 12
	b, _, resume := held(t, n, limit.Policy{Backlog: 3})
	store := b.batches(t)
	_, l := b.limited(t, limit.Options{})
	b.sendBatch(t, n)
	eventually(t, "a full backlog", func() bool { s := l.Statuses(); return len(s) == 1 && s[0].Waiting == 3 })
	resume()
	if m, _ := b.manifest(t, store); m.Succeeded != n || b.calls.Load() != n {
		t.Errorf("%+v after %d calls", m, b.calls.Load())
	}
}

// Calls whose turn does not come in time end without their slot. That lets the
// worker make no more calls at once than it has slots.
func TestCallsThatEndWhileTheyWaitLeaveTheSlotsAsTheyWere(t *testing.T) {
	t.Parallel()
	const n = 30
	b := setup(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	b.opts.Slots = 2
	store := b.batches(t)
	w, _ := b.limited(t, limit.Options{})
	b.sendBatch(t, n)
	if m, _ := b.manifest(t, store); m.Failed != n || m.ByError[string(call.RateLimited)] < n-2 {
		t.Fatalf("%+v, want calls that wait for what is too far away", m)
	}
	eventually(t, "the ack", func() bool { return w.Stats().InFlight == 0 })
	other := newAPI(t, slow(10*time.Millisecond))
	b.direct(t, "other", other.URL, 100)
	eventually(t, "the other calls", func() bool { return len(other.calls()) == 100 })
	if other.most > 2 {
		t.Errorf("%d calls at once with 2 slots", other.most)
	}
}
