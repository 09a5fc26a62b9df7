package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Instance is what one running engine tells the others, and itself after a
// crash.
type Instance struct {
	ID string `json:"id"`
	// Published: the status-change events of all executions that this instance
	// closed with a record up to this sequence are published.
	Published uint64 `json:"published"`
	// Floor: this instance needs no record below this sequence.
	Floor uint64    `json:"floor"`
	At    time.Time `json:"at"` // when it said so
}

// SaveInstance records i under its id.
func (s *Store) SaveInstance(ctx context.Context, i Instance) error {
	b, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("save instance %s: %w", i.ID, err)
	}
	if _, err := s.kv.Put(ctx, instanceKey+i.ID, b); err != nil {
		return fmt.Errorf("save instance %s: %w", i.ID, err)
	}
	return nil
}

// ForgetInstance removes the record of an instance that owes nothing any more.
func (s *Store) ForgetInstance(ctx context.Context, id string) error {
	if err := s.kv.Purge(ctx, instanceKey+id); err != nil {
		return fmt.Errorf("forget instance %s: %w", id, err)
	}
	return nil
}

// Instances returns the records of all instances, dead or alive.
func (s *Store) Instances(ctx context.Context) ([]Instance, error) {
	keys, err := s.kv.ListKeysFiltered(ctx, instanceKey+">")
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	defer func() { _ = keys.Stop() }()
	var all []Instance
	for key := range keys.Keys() {
		e, err := s.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read instance %s: %w", strings.TrimPrefix(key, instanceKey), err)
		}
		var i Instance
		if err := json.Unmarshal(e.Value(), &i); err != nil {
			return nil, fmt.Errorf("read instance %s: %w", strings.TrimPrefix(key, instanceKey), err)
		}
		all = append(all, i)
	}
	return all, nil
}
