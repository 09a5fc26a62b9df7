package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Machine is a state machine as it was created or last updated.
type Machine struct {
	Name       string          `json:"name"`
	Type       string          `json:"type"` // STANDARD or EXPRESS
	RoleARN    string          `json:"roleArn"`
	Definition string          `json:"definition"` // content id, see PutDefinition
	Created    time.Time       `json:"created"`
	Updated    time.Time       `json:"updated"`
	RevisionID string          `json:"revisionId,omitempty"` // "" until the first update
	Logging    json.RawMessage `json:"logging,omitempty"`    // as it was given
	Tracing    bool            `json:"tracing,omitempty"`

	revision uint64 // of the bucket's entry
}

const (
	machineKey    = "m."
	definitionKey = "d."
	instanceKey   = "i."
)

// machines follows the bucket, so that a read costs no request.
type machines struct {
	watcher jetstream.KeyWatcher
	done    chan struct{}

	mu   sync.RWMutex
	all  map[string]Machine // guarded by mu, by name
	defs map[string]string  // guarded by mu, by content id
}

// openMachines returns when all that the bucket holds has been read.
func openMachines(ctx context.Context, kv jetstream.KeyValue) (*machines, error) {
	w, err := kv.Watch(context.WithoutCancel(ctx), machineKey+">")
	if err != nil {
		return nil, err
	}
	m := &machines{watcher: w, done: make(chan struct{}), all: map[string]Machine{}, defs: map[string]string{}}
	for {
		select {
		case <-ctx.Done():
			_ = w.Stop()
			return nil, ctx.Err()
		case e := <-w.Updates():
			if e != nil {
				m.follow(e)
				continue
			}
			go func() {
				defer close(m.done)
				for e := range w.Updates() {
					if e != nil {
						m.follow(e)
					}
				}
			}()
			return m, nil
		}
	}
}

func (m *machines) close() {
	_ = m.watcher.Stop()
	<-m.done
}

// follow takes over one entry of the bucket.
func (m *machines) follow(e jetstream.KeyValueEntry) {
	name, err := unescape(strings.TrimPrefix(e.Key(), machineKey))
	if err != nil {
		return // not one of ours
	}
	if e.Operation() != jetstream.KeyValuePut {
		m.set(name, Machine{revision: e.Revision()}, true)
		return
	}
	var got Machine
	if json.Unmarshal(e.Value(), &got) != nil || got.Name != name {
		return
	}
	got.revision = e.Revision()
	m.set(name, got, false)
}

// set keeps the newest revision of a machine; a deleted one leaves its
// revision behind so that an older echo does not bring it back.
func (m *machines) set(name string, got Machine, deleted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if was, ok := m.all[name]; ok && was.revision >= got.revision {
		return
	}
	if deleted {
		got = Machine{revision: got.revision}
	}
	m.all[name] = got
}

// Machine returns a state machine by name, or ErrNotFound.
func (s *Store) Machine(name string) (Machine, error) {
	s.machines.mu.RLock()
	defer s.machines.mu.RUnlock()
	m, ok := s.machines.all[name]
	if !ok || m.Name == "" {
		return Machine{}, fmt.Errorf("state machine %s: %w", name, ErrNotFound)
	}
	return m, nil
}

// Machines returns all state machines by name.
func (s *Store) Machines() []Machine {
	s.machines.mu.RLock()
	all := make([]Machine, 0, len(s.machines.all))
	for _, m := range s.machines.all {
		if m.Name != "" {
			all = append(all, m)
		}
	}
	s.machines.mu.RUnlock()
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// CreateMachine adds a state machine; ErrConflict when the name is taken.
func (s *Store) CreateMachine(ctx context.Context, m Machine) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("create state machine %s: %w", m.Name, err)
	}
	rev, err := s.kv.Create(ctx, machineKey+escape(m.Name), b)
	return s.wrote(m, rev, err, "create")
}

// UpdateMachine replaces a state machine that Machine returned; ErrConflict
// when it was changed since.
func (s *Store) UpdateMachine(ctx context.Context, m Machine) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("update state machine %s: %w", m.Name, err)
	}
	rev, err := s.kv.Update(ctx, machineKey+escape(m.Name), b, m.revision)
	return s.wrote(m, rev, err, "update")
}

func (s *Store) wrote(m Machine, rev uint64, err error, verb string) error {
	if err != nil {
		return fmt.Errorf("%s state machine %s: %w", verb, m.Name, conflict(err))
	}
	m.revision = rev
	s.machines.set(m.Name, m, false)
	return nil
}

// conflict translates the bucket's refusal.
func conflict(err error) error {
	var api *jetstream.APIError
	if errors.Is(err, jetstream.ErrKeyExists) {
		return ErrConflict
	}
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return ErrConflict
	}
	return err
}

// DeleteMachine removes a state machine; one that is not there is no error.
// Its executions go on: their definitions are kept.
func (s *Store) DeleteMachine(ctx context.Context, name string) error {
	m, err := s.Machine(name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err := s.kv.Delete(ctx, machineKey+escape(name), jetstream.LastRevision(m.revision)); err != nil {
		return fmt.Errorf("delete state machine %s: %w", name, conflict(err))
	}
	s.machines.set(name, Machine{revision: m.revision + 1}, true)
	return nil
}

// PutDefinition stores the text of a definition under its content id.
func (s *Store) PutDefinition(ctx context.Context, text string) (id string, err error) {
	sum := sha256.Sum256([]byte(text))
	id = base64.RawURLEncoding.EncodeToString(sum[:16])
	s.machines.mu.RLock()
	_, known := s.machines.defs[id]
	s.machines.mu.RUnlock()
	if known {
		return id, nil
	}
	if _, err := s.kv.Put(ctx, definitionKey+id, []byte(text)); err != nil {
		return "", fmt.Errorf("store definition %s: %w", id, err)
	}
	s.machines.keep(id, text)
	return id, nil
}

// Definition returns the text of a definition, or ErrNotFound.
func (s *Store) Definition(ctx context.Context, id string) (string, error) {
	s.machines.mu.RLock()
	text, ok := s.machines.defs[id]
	s.machines.mu.RUnlock()
	if ok {
		return text, nil
	}
	e, err := s.kv.Get(ctx, definitionKey+id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", fmt.Errorf("definition %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("definition %s: %w", id, err)
	}
	s.machines.keep(id, string(e.Value()))
	return string(e.Value()), nil
}

// keptDefinitions bounds the cache of texts; the programs parsed from them are
// cached by the engine.
const keptDefinitions = 1000

func (m *machines) keep(id, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.defs) >= keptDefinitions {
		clear(m.defs)
	}
	m.defs[id] = text
}
