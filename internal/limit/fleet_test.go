package limit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/limit/store"
	"callfleet/internal/limit/store/memory"
)

// fleet is some workers on one store, inside a synctest bubble, and the API
// that their calls go to.
type fleet struct {
	*testing.T
	store  *memory.Store
	answer func(now time.Time) call.Attempt // of the API; nil answers 200
	takes  time.Duration                    // of a call
	away   time.Duration                    // of the store, at each change

	all   sync.WaitGroup
	mu    sync.Mutex
	calls []made // guarded by mu
}

// made is one call as the API has seen it.
type made struct {
	worker     string
	began, end time.Time
}

// member is one worker of a fleet.
type member struct {
	*Limiter
	fleet *fleet
	work  context.Context // of its calls
	kill  func()          // takes the store away from it
	crash func()          // ends it at once: it gives nothing back
	stop  func()
}

// mortal is a store that a dead worker cannot write to.
type mortal struct {
	store.Store
	alive context.Context
}

func (m mortal) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if m.alive.Err() != nil {
		return 0, errors.New("dead")
	}
	return m.Store.Put(ctx, key, value, revision)
}

func newFleet(t *testing.T, takes time.Duration) *fleet {
	return &fleet{T: t, store: memory.New(), takes: takes}
}

func (f *fleet) set(key string, p Policy) {
	f.Helper()
	if err := Set(f.Context(), f.store, key, p); err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) join(id string) *member {
	f.Helper()
	alive, kill := context.WithCancel(f.Context())
	l, err := New(mortal{distant{f.store, f.away}, alive}, Options{ID: id, Logger: evidence.Logger(f)})
	if err != nil {
		f.Fatal(err)
	}
	if err := l.Load(f.Context()); err != nil {
		f.Fatal(err)
	}
	running, stop := context.WithCancel(f.Context())
	work, end := context.WithCancel(f.Context())
	f.all.Go(func() { _ = l.Run(running) })
	m := &member{Limiter: l, fleet: f, work: work, kill: kill}
	m.stop = func() { end(); stop() }
	m.crash = func() { kill(); m.stop() }
	return m
}

// load keeps n calls of the key at the worker, until it stops.
func (m *member) load(key string, n int) {
	for range n {
		m.fleet.all.Go(func() {
			for m.work.Err() == nil {
				_ = m.call(m.work, key)
			}
		})
	}
}

// free is a place that is always free.
type free struct{}

func (free) Leave(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
func (free) Return(context.Context) error { return nil }

// call makes one call, with one attempt.
func (m *member) call(ctx context.Context, key string) error {
	turn := m.Turn(key, free{})
	if err := turn.Begin(ctx, time.Time{}); err != nil {
		return err
	}
	f := m.fleet
	began := time.Now()
	<-time.After(f.takes)
	f.mu.Lock()
	f.calls = append(f.calls, made{m.opts.ID, began, time.Now()})
	f.mu.Unlock()
	a := call.Attempt{Status: 200}
	if f.answer != nil {
		a = f.answer(began)
	}
	turn.End(a)
	return nil
}

// begun are the times when calls began, in order.
func (f *fleet) begun() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []time.Time
	for _, c := range f.calls {
		all = append(all, c.began)
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// within counts the calls that began from a time on.
func (f *fleet) within(from time.Time, d time.Duration) int {
	n := 0
	for _, at := range f.begun() {
		if !at.Before(from) && at.Before(from.Add(d)) {
			n++
		}
	}
	return n
}

// most is the largest number of calls that began within any d.
func (f *fleet) most(d time.Duration) int {
	all, most, first := f.begun(), 0, 0
	for i, at := range all {
		for at.Sub(all[first]) >= d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// atOnce is the largest number of calls that were under way together.
func (f *fleet) atOnce() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	type edge struct {
		at time.Time
		by int
	}
	var edges []edge
	for _, c := range f.calls {
		edges = append(edges, edge{c.began, 1}, edge{c.end, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.by - b.by
	})
	now, most := 0, 0
	for _, e := range edges {
		now += e.by
		most = max(most, now)
	}
	return most
}

func (f *fleet) end(members ...*member) {
	for _, m := range members {
		m.stop()
	}
	f.all.Wait()
}

func TestRateAndConcurrencyOfFourWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 100*time.Millisecond)
		f.set("api", Policy{Rate: 50, Concurrency: 8})
		var all []*member
		for _, id := range []string{"a", "b", "c", "d"} {
			m := f.join(id)
			m.load("api", 50)
			all = append(all, m)
		}
		began := time.Now()
		time.Sleep(60 * time.Second)
		if n := f.most(10 * time.Second); n > 525 {
			t.Errorf("%d calls within 10 s, want at most 525", n)
		}
		if n := f.atOnce(); n > 8 {
			t.Errorf("%d calls at once, want at most 8", n)
		}
		if n := f.within(began.Add(5*time.Second), 50*time.Second); n < 2375 {
			t.Errorf("%d calls in 50 s, want at least 2,375", n)
		}
		if e, err := f.store.Get(t.Context(), "api"); err != nil || e.Revision > 60*40 {
			t.Errorf("%d changes of the store in a minute, %v; want fewer than calls", e.Revision, err)
		}
		f.end(all...)
	})
}

// A policy that comes while the fleet calls holds from when the workers know of
// it, less what was under way.
func TestPolicyComesAtRunTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 100*time.Millisecond)
		var all []*member
		for _, id := range []string{"a", "b", "c", "d"} {
			m := f.join(id)
			m.load("api", 50)
			all = append(all, m)
		}
		time.Sleep(2 * time.Second)
		f.set("api", Policy{Rate: 50, Concurrency: 8})
		time.Sleep(LeaseTime)
		f.mu.Lock()
		f.calls = nil
		f.mu.Unlock()
		began := time.Now()
		time.Sleep(30 * time.Second)
		if n := f.most(10 * time.Second); n > 525 {
			t.Errorf("%d calls within 10 s, want at most 525", n)
		}
		if n := f.atOnce(); n > 8 {
			t.Errorf("%d calls at once, want at most 8", n)
		}
		if n := f.within(began, 20*time.Second); n < 950 {
			t.Errorf("%d calls in 20 s, want at least 950", n)
		}
		f.end(all...)
	})
}

// Whatever the policy, the number of workers, their load and their ends, the
// fleet stays within the limit.
func TestNeverAboveTheLimit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { anyFleet(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func anyFleet(t *testing.T, r *rand.Rand) {
	f := newFleet(t, time.Duration(1+r.IntN(400))*time.Millisecond)
	p := Policy{Rate: []int{0, 1, 7, 50, 400, 2000}[r.IntN(6)], Concurrency: []int{0, 1, 3, 8, 40}[r.IntN(5)]}
	if p.Rate == 7 {
		p.Period = time.Minute
	}
	f.set("api", p)
	alive, ids := []*member{}, 0
	grow := func() {
		ids++
		m := f.join(fmt.Sprint("w", ids))
		m.load("api", 1+r.IntN(40))
		alive = append(alive, m)
	}
	for range 1 + r.IntN(5) {
		grow()
	}
	for range 12 {
		<-time.After(time.Duration(r.IntN(3000)) * time.Millisecond)
		switch i := r.IntN(len(alive) + 1); {
		case i == len(alive):
			grow()
		case len(alive) > 1:
			if alive[i].stop(); r.IntN(2) == 0 {
				alive[i].crash()
			}
			alive = slices.Delete(alive, i, i+1)
		}
	}
	if limit := 10.35*p.perSecond() + 1; p.Rate > 0 && float64(f.most(10*time.Second)) > limit {
		t.Errorf("%+v: %d calls within 10 s, want at most %.0f", p, f.most(10*time.Second), limit)
	}
	if n := f.atOnce(); p.Concurrency > 0 && n > p.Concurrency {
		t.Errorf("%+v: %d calls at once", p, n)
	}
	if len(f.begun()) == 0 {
		t.Errorf("%+v: no call at all", p)
	}
	f.end(alive...)
}

// The share of a worker that dies is others' when its lease has ended.
func TestShareOfADeadWorkerComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Hour) // whoever has a permit keeps it
		f.set("api", Policy{Concurrency: 8})
		dead := f.join("dead")
		dead.load("api", 8)
		time.Sleep(time.Second)
		heir := f.join("heir")
		heir.load("api", 8)
		time.Sleep(time.Second)
		if n := running(heir); n != 0 {
			t.Fatalf("%d calls while all permits were taken", n)
		}
		dead.crash()
		died := time.Now()
		for running(heir) < 8 {
			time.Sleep(100 * time.Millisecond)
			if time.Since(died) > LeaseTime+2*skew {
				t.Fatalf("%d calls after %s, want 8", running(heir), time.Since(died))
			}
		}
		f.end(heir)
	})
}

func running(m *member) int {
	for _, s := range m.Statuses() {
		return s.Running
	}
	return 0
}

// One key's limit does not keep another key's calls from anything.
func TestKeysDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, time.Millisecond)
		f.set("paused", Policy{Paused: true})
		m := f.join("a")
		m.load("paused", 1000)
		synctest.Wait()
		began := time.Now()
		if err := m.call(t.Context(), "other"); err != nil || time.Since(began) > time.Millisecond {
			t.Errorf("call of another key: %v after %s", err, time.Since(began))
		}
		if s := m.Statuses(); len(s) != 1 || s[0].Waiting != 1000 || s[0].State != Paused {
			t.Errorf("statuses %+v, want one paused key with 1,000 calls", s)
		}
		f.end(m)
	})
}
