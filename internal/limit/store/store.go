// Package store is the seam to where the fleet shares what it knows of its flow
// keys: small values, changed by compare-and-set. natslimits and dynamolimits
// implement it, memory is for one process alone, storetest holds each to the
// same promises.
package store

import (
	"context"
	"errors"
)

// Entry is the value of one key. A nil Value says that the key was removed.
type Entry struct {
	Key   string
	Value []byte
	// Revision is above 0 and grows with each change of the key, over its
	// removal as well.
	Revision uint64
}

// Store keeps values by key. Its methods are safe for concurrent use.
type Store interface {
	// Get returns the last value of the key, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// Put writes the value if the key is still at the revision, 0 being that it
	// is not there, and returns its new revision; ErrConflict otherwise. The
	// value may be reused after it returns.
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Delete removes the key if it is still at the revision; ErrConflict
	// otherwise.
	Delete(ctx context.Context, key string, revision uint64) error
	// List returns the entries there are, in no order.
	List(ctx context.Context) ([]Entry, error)
	// Watch calls f with every entry there is and with each change from then on,
	// one at a time, until ctx ends; it returns nil then. A change may be left
	// out when another one of the same key follows at once. It comes within 2 s.
	Watch(ctx context.Context, f func(Entry)) error
}

// What callers branch on.
var (
	ErrNotFound = errors.New("flow not found")
	ErrConflict = errors.New("flow was changed by another")
)
