// Package memory keeps flow keys in this process: for a worker that shares its
// limits with no other.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"callfleet/internal/limit/store"
)

// Store is a map. Use New.
type Store struct {
	mu       sync.Mutex
	revision uint64                 // guarded by mu: the last one given
	entries  map[string]store.Entry // guarded by mu
	changed  chan struct{}          // guarded by mu: closed by the next change
	log      []store.Entry          // guarded by mu: changes that a watcher has to see
	watchers int                    // guarded by mu: the log is kept for them
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{entries: map[string]store.Entry{}, changed: make(chan struct{})}
}

// Get implements store.Store.
func (s *Store) Get(_ context.Context, key string) (store.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return store.Entry{}, fmt.Errorf("get flow %s: %w", key, store.ErrNotFound)
	}
	return e, nil
}

// Put implements store.Store.
func (s *Store) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key].Revision != revision {
		return 0, fmt.Errorf("put flow %s: %w", key, store.ErrConflict)
	}
	s.revision++
	e := store.Entry{Key: key, Value: bytes.Clone(value), Revision: s.revision}
	s.entries[key] = e
	s.tell(e)
	return e.Revision, nil
}

// Delete implements store.Store.
func (s *Store) Delete(_ context.Context, key string, revision uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[key]; !ok || e.Revision != revision {
		return fmt.Errorf("delete flow %s: %w", key, store.ErrConflict)
	}
	s.revision++
	delete(s.entries, key)
	s.tell(store.Entry{Key: key, Revision: s.revision})
	return nil
}

// tell wakes the watchers; the caller holds mu.
func (s *Store) tell(e store.Entry) {
	if s.watchers == 0 {
		s.log = nil
		return
	}
	s.log = append(s.log, e)
	close(s.changed)
	s.changed = make(chan struct{})
}

// List implements store.Store.
func (s *Store) List(context.Context) ([]store.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list(), nil
}

func (s *Store) list() []store.Entry {
	all := make([]store.Entry, 0, len(s.entries))
	for _, e := range s.entries {
		all = append(all, e)
	}
	return all
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, f func(store.Entry)) error {
	s.mu.Lock()
	s.watchers++
	seen := s.revision
	news, changed := s.list(), s.changed
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.watchers--
	}()
	for {
		for _, e := range news {
			f(e)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		s.mu.Lock()
		news, changed = s.since(seen), s.changed
		seen = s.revision
		s.mu.Unlock()
	}
}

// keptLog is how many changes are kept for slow watchers.
const keptLog = 4096

// since are the changes after a revision; the caller holds mu.
func (s *Store) since(revision uint64) []store.Entry {
	if len(s.log) > 2*keptLog {
		s.log = append([]store.Entry(nil), s.log[len(s.log)-keptLog:]...)
	}
	i := len(s.log)
	for i > 0 && s.log[i-1].Revision > revision {
		i--
	}
	return append([]store.Entry(nil), s.log[i:]...)
}
