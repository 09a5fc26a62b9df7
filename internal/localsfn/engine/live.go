package engine

import (
	"hash/maphash"
	"sync"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/machine"
	"callfleet/internal/localsfn/store"
)

// shards is a power of two.
const shards = 64

// shard holds a part of the live executions.
type shard struct {
	mu   sync.Mutex
	live map[store.Key]*live // guarded by mu
}

var seed = maphash.MakeSeed()

func (e *Engine) shard(k store.Key) *shard {
	return &e.shards[maphash.String(seed, k.Name)&(shards-1)]
}

// live is one execution that this engine works on. It stays in its shard from
// its start, or from when it was loaded, until it has ended.
type live struct {
	key store.Key

	mu sync.Mutex // one decision at a time; guards all below
	// x is nil when it has to be loaded from the log.
	x       *machine.Execution
	program *asl.Program
	// first and last are the sequences of its records; 0 if there is none.
	first, last uint64
	timer       *time.Timer
	acting      map[int64]*handing // the tasks that are being handed off
	failures    int                // appends or loads that failed in a row
	gone        bool               // it is out of its shard
}

// handing is one task that is being handed off.
type handing struct {
	done   chan struct{} // closed when the service has answered and that is decided
	cancel func()
}

// get returns the live execution of that key, making an empty one if there is
// none.
func (e *Engine) get(k store.Key) *live {
	s := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live[k]
	if l == nil {
		l = &live{key: k}
		s.live[k] = l
	}
	return l
}

// lock locks l, or what took its place: one that left its shard without having
// ended was never started, and may have been since.
func (e *Engine) lock(l *live) *live {
	l.mu.Lock()
	for l.gone && l.x == nil {
		l.mu.Unlock()
		l = e.get(l.key)
		l.mu.Lock()
	}
	return l
}

// peek returns the live execution of that key, or nil.
func (e *Engine) peek(k store.Key) *live {
	s := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[k]
}

// forget takes l out of its shard. Called with l.mu held.
func (e *Engine) forget(l *live) {
	l.gone = true
	if l.timer != nil {
		l.timer.Stop()
	}
	s := e.shard(l.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[l.key] == l {
		delete(s.live, l.key)
	}
}

// stopTimers stops the timers of all executions of a shard.
func (s *shard) stopTimers() {
	s.mu.Lock()
	all := make([]*live, 0, len(s.live))
	for _, l := range s.live {
		all = append(all, l)
	}
	s.mu.Unlock()
	for _, l := range all {
		l.mu.Lock()
		if l.timer != nil {
			l.timer.Stop()
		}
		l.mu.Unlock()
	}
}
