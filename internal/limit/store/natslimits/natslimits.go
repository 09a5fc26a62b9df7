// Package natslimits keeps flow keys in a key-value bucket of JetStream.
package natslimits

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/limit/store"
)

// Options say where the flow keys are. A zero field is its default.
type Options struct {
	Bucket   string // "flows"
	Replicas int    // 1
}

// Store is a bucket. The connection stays the caller's.
type Store struct {
	kv   jetstream.KeyValue
	name string
}

var _ store.Store = (*Store)(nil)

// New opens the bucket, and makes it when it is not there.
func New(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	if o.Bucket == "" {
		o.Bucket = "flows"
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open flow bucket %s: %w", o.Bucket, err)
	}
	kv, err := js.KeyValue(ctx, o.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: o.Bucket, Description: "Flow keys of callfleet", Replicas: o.Replicas,
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // somebody else was faster
			kv, err = js.KeyValue(ctx, o.Bucket)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open flow bucket %s: %w", o.Bucket, err)
	}
	return &Store{kv, o.Bucket}, nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	e, err := s.kv.Get(ctx, encode(key))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return store.Entry{}, fmt.Errorf("get flow %s: %w", key, store.ErrNotFound)
	case err != nil:
		return store.Entry{}, fmt.Errorf("get flow %s: %w", key, err)
	}
	return store.Entry{Key: key, Value: e.Value(), Revision: e.Revision()}, nil
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	var err error
	if revision == 0 {
		revision, err = s.kv.Create(ctx, encode(key), value)
	} else {
		revision, err = s.kv.Update(ctx, encode(key), value, revision)
	}
	if err != nil {
		return 0, fmt.Errorf("put flow %s: %w", key, translate(err))
	}
	return revision, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	if revision == 0 {
		return fmt.Errorf("delete flow %s: %w", key, store.ErrConflict)
	}
	if err := s.kv.Delete(ctx, encode(key), jetstream.LastRevision(revision)); err != nil {
		return fmt.Errorf("delete flow %s: %w", key, translate(err))
	}
	return nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context) ([]store.Entry, error) {
	w, err := s.kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list flows: %w", err)
	}
	defer func() { _ = w.Stop() }() // an error is that the connection has ended
	var all []store.Entry
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return nil, fmt.Errorf("list flows of bucket %s: the connection was closed", s.name)
			}
			if e == nil {
				return all, nil
			}
			if entry, ok := entryOf(e); ok {
				all = append(all, entry)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, f func(store.Entry)) error {
	w, err := s.kv.WatchAll(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch flows: %w", err)
	}
	defer func() { _ = w.Stop() }() // an error is that the connection has ended
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return fmt.Errorf("watch flows of bucket %s: the watch has ended", s.name)
			}
			if e == nil { // all that was there
				continue
			}
			if entry, ok := entryOf(e); ok {
				f(entry)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func entryOf(e jetstream.KeyValueEntry) (store.Entry, bool) {
	key, ok := decode(e.Key())
	entry := store.Entry{Key: key, Revision: e.Revision()}
	if e.Operation() == jetstream.KeyValuePut {
		entry.Value = e.Value()
	}
	return entry, ok // others are not ours
}

// translate makes the store's errors of JetStream's.
func translate(err error) error {
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return store.ErrConflict
	}
	return err
}

// encode makes a key of a bucket: a flow key may hold what NATS takes for the
// parts of a subject.
func encode(key string) string { return "k" + hex.EncodeToString([]byte(key)) }

func decode(text string) (string, bool) {
	if text == "" || text[0] != 'k' {
		return "", false
	}
	key, err := hex.DecodeString(text[1:])
	return string(key), err == nil
}
