package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/batch"
	"callfleet/internal/blob"
	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/evidence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func files(t *testing.T) blob.Store {
	t.Helper()
	s, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func calls(n int) []call.BatchCall {
	all := make([]call.BatchCall, n)
	for i := range all {
		all[i] = call.BatchCall{ID: fmt.Sprint("r-", i+1), Params: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i+1))}
	}
	return all
}

// lanes are n slots besides the batch's own.
type lanes chan struct{}

func (l lanes) Borrow(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
func (l lanes) Keep() bool { return true }
func (l lanes) GiveBack()  { <-l }

// api counts the calls.
type api struct {
	mu   sync.Mutex
	seen map[string]int // guarded by mu
	all  int            // guarded by mu
	now  int            // guarded by mu
	most int            // at once; guarded by mu
	each func(n int)    // called before a call is answered, with their number
}

func (a *api) call(ctx context.Context, c call.BatchCall, _ batch.Lane) (call.CallOutcome, error) {
	a.mu.Lock()
	if a.seen == nil {
		a.seen = map[string]int{}
	}
	a.seen[c.ID]++
	a.all++
	a.now++
	n := a.all
	a.most = max(a.most, a.now)
	a.mu.Unlock()
	if a.each != nil {
		a.each(n)
	}
	a.mu.Lock()
	a.now--
	a.mu.Unlock()
	if ctx.Err() != nil {
		return call.CallOutcome{}, context.Cause(ctx)
	}
	return call.CallOutcome{ID: c.ID, Output: json.RawMessage(`{"statusCode":200,"body":"` + strings.Repeat("x", 400) + `"}`)}, nil
}

// again is how many calls came more than once, in all.
func (a *api) again() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, times := range a.seen {
		n += times - 1
	}
	return n
}

// wantAll checks that the manifest has the outcome of every call, in order.
func wantAll(t *testing.T, s *batch.Store, m call.Manifest, n int) {
	t.Helper()
	text, err := call.EncodeManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := s.Outcomes(t.Context(), call.Outcome{ID: "b", Status: call.StatusSucceeded, Output: text})
	if err != nil || len(outcomes) != n || m.Calls != n || m.Succeeded != n || m.ByStatus["2xx"] != n {
		t.Fatalf("%d outcomes, %v, manifest %+v", len(outcomes), err, m)
	}
	for i, o := range outcomes {
		if o.ID != fmt.Sprint("r-", i+1) {
			t.Errorf("outcome %d is of %s", i+1, o.ID)
		}
	}
}

// broken fails in puts from the nth on.
type broken struct {
	blob.Store
	mu   sync.Mutex
	left int
}

func (b *broken) Put(ctx context.Context, key, kind string, r io.Reader) (blob.Ref, error) {
	b.mu.Lock()
	b.left--
	left := b.left
	b.mu.Unlock()
	if left < 0 {
		return blob.Ref{}, fmt.Errorf("%w: the disk is full", blob.ErrRefused)
	}
	return b.Store.Put(ctx, key, kind, r)
}

// Wherever the journal breaks off, as it does when the worker dies, the next one
// calls again no more than what was under way.
func TestRunGoesOnWhereTheJournalEnds(t *testing.T) {
	t.Parallel()
	const n, slots = 60, 8
	for _, parts := range []int{0, 1, 2, 3, 5, 100} {
		t.Run(fmt.Sprint(parts, " parts"), func(t *testing.T) {
			t.Parallel()
			blobs, a := files(t), &api{}
			work := batch.Work{ID: "b", Calls: calls(n), Call: a.call, Lanes: make(lanes, slots-1)}
			_, err := batch.New(&broken{Store: blobs, left: parts}).Run(t.Context(), work)
			f, ok := errors.AsType[*call.Failure](err)
			if parts < 10 && (!ok || f.Name != call.BlobUnavailable || !strings.Contains(f.Cause, "disk is full")) {
				t.Fatalf("broken off: %v", err)
			}
			s := batch.New(blobs)
			done, err := s.Outcomes(t.Context(), call.Outcome{ID: "b", Status: call.StatusFailed})
			if err != nil || parts > 0 && len(done) == 0 || a.all-len(done) > slots {
				t.Errorf("%d calls were made, %d are in the journal, %v", a.all, len(done), err)
			}
			m, err := s.Run(t.Context(), work)
			if err != nil {
				t.Fatal(err)
			}
			wantAll(t, s, m, n)
			if again := a.again(); again > slots || len(a.seen) != n || a.most > slots {
				t.Errorf("%d calls again, %d at once, want at most %d; %d calls", again, a.most, slots, len(a.seen))
			}
		})
	}
}

// A batch that is cancelled keeps what was answered, and nothing of what was
// broken off.
func TestRunIsCancelled(t *testing.T) {
	t.Parallel()
	const n, slots = 40, 4
	ctx, cancel := context.WithCancelCause(t.Context())
	a := &api{each: func(n int) {
		if n == 20 {
			cancel(call.ErrTaskGone)
		}
	}}
	s := batch.New(files(t))
	work := batch.Work{ID: "b", Calls: calls(n), Call: a.call, Lanes: make(lanes, slots-1)}
	if _, err := s.Run(ctx, work); !errors.Is(err, call.ErrTaskGone) {
		t.Fatalf("cancelled: %v", err)
	}
	if a.all >= 20+slots {
		t.Errorf("%d calls began, want none after the 20th", a.all)
	}
	m, err := s.Run(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, s, m, n)
	if again := a.again(); again == 0 || again > slots {
		t.Errorf("%d calls again, want 1 to %d", again, slots)
	}
}

// A worker that leaves ends the calls under way, and none is made again.
func TestRunIsLeft(t *testing.T) {
	t.Parallel()
	const n = 40
	leaving := make(chan struct{})
	a := &api{each: func(n int) {
		if n == 10 {
			close(leaving)
		}
	}}
	s := batch.New(files(t))
	work := batch.Work{ID: "b", Calls: calls(n), Call: a.call, Lanes: make(lanes, 3), Leaving: leaving}
	if _, err := s.Run(t.Context(), work); !errors.Is(err, batch.ErrLeft) {
		t.Fatalf("left: %v", err)
	}
	if a.all < 10 || a.all > 13 {
		t.Errorf("%d calls began", a.all)
	}
	work.Leaving = nil
	m, err := s.Run(t.Context(), work)
	if err != nil || a.again() != 0 {
		t.Fatalf("%v, %d calls again", err, a.again())
	}
	wantAll(t, s, m, n)
}

// Two workers that have one batch for a while learn from each other: what the one
// has done in the time of one call of the other, that one does not do again.
func TestTwoWorkersOfOneBatch(t *testing.T) {
	t.Parallel()
	const n = 50
	blobs := files(t)
	s, other := batch.New(blobs), batch.New(blobs)
	a := &api{}
	work := batch.Work{ID: "b", Calls: calls(n), Call: a.call, Lanes: make(lanes)}
	a.each = func(nth int) {
		if nth != 5 {
			return
		}
		m, err := other.Run(t.Context(), work)
		if err != nil || m.Succeeded != n {
			t.Errorf("the other worker: %+v, %v", m, err)
		}
	}
	m, err := s.Run(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, s, m, n)
	if a.all != n+1 || len(a.seen) != n {
		t.Errorf("%d calls of %d, want the one that was under way twice", a.all, len(a.seen))
	}
}

// The same calls are packed into the same message, small or large.
func TestPack(t *testing.T) {
	t.Parallel()
	s := batch.New(files(t))
	for n, inMessage := range map[int]bool{1: true, 100: true, call.MaxBatch: false} {
		want := calls(n)
		want[0].Deadline, want[0].Trace = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), &call.Trace{Parent: "00-1-2-01"}
		id := fmt.Sprint("b", n)
		var texts []string
		for range 2 {
			b, err := s.Pack(t.Context(), id, want)
			if err != nil || (b.Calls != nil) != inMessage || b.Count != n || b.TimeoutSeconds != 900+30*n {
				t.Fatalf("%d calls: %+v, %v", n, b, err)
			}
			body, err := call.EncodeRequest(call.Request{ID: id, Template: "t", Method: "GET", Batch: b})
			if err != nil || len(body) > 64<<10 {
				t.Fatalf("%d calls: %d bytes, %v", n, len(body), err)
			}
			r, err := call.DecodeRequest(body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Calls(t.Context(), *r.Batch)
			same := slices.EqualFunc(got, want, func(a, b call.BatchCall) bool {
				return a.ID == b.ID && string(a.Params) == string(b.Params) && a.Deadline.Equal(b.Deadline)
			})
			if err != nil || !same || got[0].Trace == nil || *got[0].Trace != *want[0].Trace {
				t.Errorf("%d calls came back as %d, %v", n, len(got), err)
			}
			texts = append(texts, string(body))
		}
		if texts[0] != texts[1] {
			t.Errorf("%d calls are packed otherwise the second time", n)
		}
	}
}

// What cannot be had fails by name.
func TestCallsThatAreNotThere(t *testing.T) {
	t.Parallel()
	blobs := files(t)
	s := batch.New(blobs)
	b, err := s.Pack(t.Context(), "b", calls(call.MaxBatch))
	if err != nil {
		t.Fatal(err)
	}
	other := *b.CallsRef
	other.SHA256 = strings.Repeat("0", 64)
	foreign := *b.CallsRef
	foreign.URL = "file:///etc/passwd"
	for name, bad := range map[string]call.Batch{
		"another digest": {Count: call.MaxBatch, CallsRef: &other}, "foreign": {Count: call.MaxBatch, CallsRef: &foreign},
		"another number": {Count: 7, CallsRef: b.CallsRef},
	} {
		_, err := s.Calls(t.Context(), bad)
		if f, ok := errors.AsType[*call.Failure](err); !ok || f.Name != call.BadReference {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Little is in the output itself, much is not.
func TestManifest(t *testing.T) {
	t.Parallel()
	s := batch.New(files(t))
	for id, row := range map[string]struct {
		n, room int
		small   bool
	}{"little": {3, 0, true}, "much": {100, 0, false}, "no-room": {3, 1 << 10, false}, "room": {3, 8 << 10, true}} {
		n := row.n
		m, err := s.Run(t.Context(), batch.Work{ID: id, Calls: calls(n), Call: (&api{}).call, Lanes: make(lanes, 1), Room: row.room})
		if err != nil || (m.Results != nil) != row.small || (m.ResultsRef == nil) != row.small {
			t.Errorf("%s: %d results, reference %+v, %v", id, len(m.Results), m.ResultsRef, err)
		}
		text, err := call.EncodeManifest(m)
		if err != nil || len(text) > 32<<10 {
			t.Errorf("%d calls: a manifest of %d bytes, %v", n, len(text), err)
		}
	}
}
