package limit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/limit/store"
)

// Status is a key as one worker sees it.
type Status struct {
	Key     string
	State   State
	Policy  Policy
	Waiting int     // calls that wait in this worker
	Running int     // calls under way in this worker
	Begun   float64 // calls per second that began in this worker lately
}

// Statuses are those of the keys that have a record or calls that wait, by key.
func (l *Limiter) Statuses() []Status {
	l.mu.RLock()
	flows := make([]*flow, 0, len(l.flows))
	for _, f := range l.flows {
		flows = append(flows, f)
	}
	l.mu.RUnlock()
	now := time.Now()
	var all []Status
	for _, f := range flows {
		f.mu.Lock()
		if f.revision != 0 || f.parked > 0 {
			all = append(all, Status{
				Key: f.key, State: f.record.State(now), Policy: f.record.Policy,
				Waiting: f.parked, Running: f.running, Begun: f.begun.perSecond(now),
			})
		}
		f.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// Flow is a key as the store has it.
type Flow struct {
	Key string
	Record
}

// List returns the flow keys of a store, by key.
func List(ctx context.Context, s store.Store) ([]Flow, error) {
	entries, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Flow, 0, len(entries))
	for _, e := range entries {
		r, err := decode(e.Value)
		if err != nil {
			return nil, fmt.Errorf("flow %s: %w", e.Key, err)
		}
		all = append(all, Flow{e.Key, r})
	}
	slices.SortFunc(all, func(a, b Flow) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

// Set gives a key a policy, in place of the one it has; the zero value takes it
// away. Workers follow it within 2 s.
func Set(ctx context.Context, s store.Store, key string, p Policy) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("set policy of flow %s: %w", key, err)
	}
	return change(ctx, s, key, func(r *Record, now time.Time) { r.Set(now, p) })
}

// Edit changes a key's policy.
func Edit(ctx context.Context, s store.Store, key string, edit func(*Policy)) error {
	var wrong error
	err := change(ctx, s, key, func(r *Record, now time.Time) {
		p := r.Policy
		edit(&p)
		if wrong = p.Check(); wrong == nil {
			r.Set(now, p)
		}
	})
	if err = errors.Join(wrong, err); err != nil {
		return fmt.Errorf("set policy of flow %s: %w", key, err)
	}
	return nil
}

// Resume ends the pauses of a key, its owner's and the API's, and closes its
// circuit.
func Resume(ctx context.Context, s store.Store, key string) error {
	return change(ctx, s, key, (*Record).Resume)
}

func change(ctx context.Context, s store.Store, key string, do func(*Record, time.Time)) error {
	if err := call.ValidateFlowKey(key); err != nil {
		return fmt.Errorf("flow key: %w", err)
	}
	from, err := load(ctx, s, key)
	if err != nil {
		return err
	}
	_, err = exchange(ctx, s, key, from, func(r *Record, now time.Time) { do(r, now.Round(0)) })
	return err
}
