package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Limits say which ended executions stay in the log.
type Limits struct {
	Closed int           // how many
	Age    time.Duration // how long after they ended
	// Floor is a sequence that somebody else still needs; nothing at or above
	// it goes in bulk. 0 is nobody.
	Floor uint64
}

const (
	// linger is how long every ended execution stays, whatever the limits: its
	// starter must be able to look at it.
	linger = time.Minute
	// single bounds the executions that one Expire removes one by one.
	single = 100
)

// Floor is the lowest sequence that an execution on the list needs.
func (s *Store) Floor(max uint64) uint64 {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	return s.index.floor(max, func(*item) bool { return false })
}

// Expire removes ended executions beyond the limits, the longest ended first,
// and returns how many. What lies below everything that must stay goes in one
// cut. An old open execution blocks that cut; then some go one by one, which
// is slow, so a log with such an execution is above its limits for a while.
func (s *Store) Expire(ctx context.Context, l Limits, now time.Time) (int, error) {
	due := s.due(l, now)
	if len(due) == 0 {
		return 0, nil
	}
	expired := make(map[*item]bool, len(due))
	var top uint64
	for _, it := range due {
		expired[it] = true
		top = max(top, it.last)
	}
	s.index.mu.Lock()
	cut := s.index.floor(top+1, func(it *item) bool { return expired[it] })
	s.index.mu.Unlock()
	if l.Floor != 0 {
		cut = min(cut, l.Floor)
	}
	if cut > 1 {
		if err := s.stream.Purge(ctx, jetstream.WithPurgeSequence(cut)); err != nil {
			return 0, fmt.Errorf("expire executions below %d: %w", cut, err)
		}
	}
	removed := map[*item]bool{}
	alone := 0
	for _, it := range due {
		if it.last >= cut {
			if alone++; alone > single {
				continue
			}
			if err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(s.subject(Key{it.of.name, it.name}))); err != nil {
				return 0, fmt.Errorf("expire execution %s: %w", it.name, err)
			}
		}
		removed[it] = true
	}
	s.remove(removed)
	return len(removed), nil
}

// due are the ended executions beyond the limits.
func (s *Store) due(l Limits, now time.Time) []*item {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	closed := s.index.closed
	n := 0
	for n < len(closed) {
		ended := time.UnixMilli(closed[n].stopped)
		over := l.Closed > 0 && len(closed)-n > l.Closed || l.Age > 0 && now.Sub(ended) > l.Age
		if !over || now.Sub(ended) < linger {
			break
		}
		n++
	}
	return append([]*item(nil), closed[:n]...)
}

// remove takes items off the list.
func (s *Store) remove(items map[*item]bool) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	kept := s.index.closed[:0]
	for _, it := range s.index.closed {
		if items[it] {
			it.drop()
		} else {
			kept = append(kept, it)
		}
	}
	clear(s.index.closed[len(kept):])
	s.index.closed = kept
}
