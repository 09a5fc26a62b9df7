package limit

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"callfleet/internal/lifecycle"
	"callfleet/internal/limit/store"
	"callfleet/internal/outage"
)

// Options are the settings of a Limiter. The zero value of a field is the
// default named with it.
type Options struct {
	// ID tells the workers of a fleet apart. Default random.
	ID string
	// MaxWaiting is how many calls may wait in this worker. Default 20,000.
	MaxWaiting int
	// Backlog is how many calls of one key may wait in this worker, unless its
	// policy says. Default 10,000.
	Backlog int
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

// Limiter gives calls their turn. Its methods are safe for concurrent use.
type Limiter struct {
	store store.Store
	opts  Options
	woken chan struct{} // holds one signal for Run

	waiting atomic.Int64
	outage  *outage.Log

	// mu is locked before the mu of a flow, or without it; starting is locked
	// last.
	mu    sync.RWMutex
	flows map[string]*flow // guarded by mu

	starting sync.Mutex
	start    []*flow // guarded by starting: flows that need to be served
}

// ErrFull says that as many calls wait in this worker as may: the call has to
// wait on the queue.
var ErrFull = errors.New("as many calls of its flow key wait in this worker as may")

// New returns a limiter that knows no key before Load or Run.
func New(s store.Store, o Options) (*Limiter, error) {
	if s == nil {
		return nil, errors.New("make limiter: a store is needed")
	}
	if o.MaxWaiting < 0 || o.Backlog < 0 {
		return nil, errors.New("make limiter: options must not be negative")
	}
	o.ID = cmp.Or(o.ID, rand.Text())
	o.MaxWaiting = cmp.Or(o.MaxWaiting, 20_000)
	o.Backlog = cmp.Or(o.Backlog, 10_000)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Limiter{
		store: s, opts: o, woken: make(chan struct{}, 1), flows: map[string]*flow{},
		outage: outage.New(outage.Options{
			Failing: "limits cannot be shared: calls of limited keys wait until they can",
			Working: "limits are shared again", Quiet: 2 * longRetry, Logger: o.Logger,
		}),
	}, nil
}

// Load reads the keys there are. A worker that takes in nothing before it has
// keeps their limits from its first call on.
func (l *Limiter) Load(ctx context.Context) error {
	all, err := l.store.List(ctx)
	if err != nil {
		return fmt.Errorf("load flow keys: %w", err)
	}
	for _, e := range all {
		l.update(e)
	}
	return nil
}

const (
	firstRetry = 50 * time.Millisecond
	longRetry  = 2 * time.Second
	// opTimeout bounds one operation of the store.
	opTimeout = 2 * time.Second
	// cleanEvery is how often keys that nobody uses are forgotten.
	cleanEvery = 30 * time.Second
)

// Run keeps the limiter up to date until ctx ends, gives back what it has
// leased, and returns nil. No call gets a turn of a limited key after it.
func (l *Limiter) Run(ctx context.Context) error {
	serving, end := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { l.watch(serving) })
	clean := time.NewTicker(cleanEvery)
	defer clean.Stop()
	defer all.Wait()
	defer end()
	for {
		select {
		case <-l.woken:
			for _, f := range l.toServe() {
				all.Go(func() { f.serve(serving) })
			}
		case <-clean.C:
			all.Go(func() { l.clean(serving) })
		case <-ctx.Done():
			return nil
		}
	}
}

// serve has Run serve a flow. It does not block.
func (l *Limiter) serve(f *flow) {
	l.starting.Lock()
	l.start = append(l.start, f)
	l.starting.Unlock()
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

func (l *Limiter) toServe() []*flow {
	l.starting.Lock()
	defer l.starting.Unlock()
	all := l.start
	l.start = nil
	return all
}

// watch follows the store, over its troubles.
func (l *Limiter) watch(ctx context.Context) {
	for pause := firstRetry; ctx.Err() == nil; pause = min(2*pause, longRetry) {
		err := l.store.Watch(ctx, func(e store.Entry) {
			pause = firstRetry
			l.outage.Passed(ctx)
			l.update(e)
		})
		if err != nil && ctx.Err() == nil {
			l.outage.Failed(ctx, err)
		}
		_ = lifecycle.Sleep(ctx, pause)
	}
}

// update takes in what the store says of a key.
func (l *Limiter) update(e store.Entry) {
	var r Record
	if e.Value != nil {
		var err error
		if r, err = decode(e.Value); err != nil {
			l.opts.Logger.Warn("ignoring a flow key that cannot be read", "flow", e.Key, "error", err)
			return
		}
	}
	f := l.find(e.Key)
	if f == nil {
		if e.Value == nil {
			return
		}
		f = l.flow(e.Key)
	}
	defer f.mu.Unlock()
	f.adopt(r, e)
	f.poke()
}

// find returns the flow of a key, locked, or nil.
func (l *Limiter) find(key string) *flow {
	l.mu.RLock()
	f := l.flows[key]
	l.mu.RUnlock()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	if f.dead {
		f.mu.Unlock()
		return nil
	}
	return f
}

// flow returns the flow of a key, locked, and makes it if there is none.
func (l *Limiter) flow(key string) *flow {
	for {
		l.mu.Lock()
		f := l.flows[key]
		if f == nil {
			f = newFlow(l, key)
			l.flows[key] = f
		}
		l.mu.Unlock()
		f.mu.Lock()
		if !f.dead {
			return f
		}
		f.mu.Unlock()
	}
}

// clean forgets keys that nobody uses, and removes the records of those that
// are as if they had none.
func (l *Limiter) clean(ctx context.Context) {
	l.mu.RLock()
	all := make([]*flow, 0, len(l.flows))
	for _, f := range l.flows {
		all = append(all, f)
	}
	l.mu.RUnlock()
	for _, f := range all {
		forget, remove, revision := f.unused(time.Now())
		if remove {
			once, cancel := context.WithTimeout(ctx, opTimeout)
			_ = l.store.Delete(once, f.key, revision) // another worker was faster, or the next time does it
			cancel()
		}
		if forget {
			l.mu.Lock()
			if l.flows[f.key] == f {
				delete(l.flows, f.key)
			}
			l.mu.Unlock()
		}
	}
}

// exchange makes a change of a key's record by compare-and-set: change is given
// what the store has, and may be called again.
func exchange(ctx context.Context, s store.Store, key string, from version, change func(*Record, time.Time)) (version, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, firstRetry) {
		now := time.Now()
		next := from.record.clone()
		change(&next, now)
		next.Changed = now.Round(0)
		value, err := next.encode()
		if err != nil {
			return version{}, err
		}
		revision, err := s.Put(ctx, key, value, from.revision)
		if err == nil {
			return version{next, revision}, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return version{}, err
		}
		if from.revision != 0 || pause > time.Millisecond { // who lost once makes room
			_ = lifecycle.Sleep(ctx, jitter(pause))
		}
		if from, err = load(ctx, s, key); err != nil {
			return version{}, err
		}
	}
}

// version is a record at a revision; 0 is none.
type version struct {
	record   Record
	revision uint64
}

func load(ctx context.Context, s store.Store, key string) (version, error) {
	e, err := s.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return version{}, nil
	}
	if err != nil {
		return version{}, err
	}
	r, err := decode(e.Value)
	if err != nil {
		return version{}, fmt.Errorf("flow %s: %w", key, err)
	}
	return version{r, e.Revision}, nil
}
