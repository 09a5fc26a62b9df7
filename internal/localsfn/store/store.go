package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What callers branch on.
var (
	// ErrConflict says that another writer was faster: load again, decide again.
	ErrConflict = errors.New("changed by another writer")
	// ErrNotFound says that there is no such execution, state machine or
	// definition.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge says that a decision does not fit into a message of the broker.
	ErrTooLarge = errors.New("decision too large for the broker")
)

// Options configure a store; the zero value is ready to use.
type Options struct {
	// Prefix begins the names of the stream, its subjects and the bucket:
	// letters, digits and '-'. Default "localsfn".
	Prefix string
	// Replicas of stream and bucket on a cluster, 1 to 5. Default 1.
	Replicas int
	// Timeout bounds one request to the broker. Default 5 s.
	Timeout time.Duration
}

// Store is the event log and the state machines. Its methods are safe for
// concurrent use.
type Store struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	stream   jetstream.Stream
	machines *machines
	kv       jetstream.KeyValue
	index    *index
	name     string // of the stream
	subjects string // "<prefix>.log."
	timeout  time.Duration
}

// Open makes the stream and the bucket if they are missing, and reads the
// state machines. The log is read by Scan.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	if nc == nil {
		return nil, errors.New("open store: no connection")
	}
	if o.Prefix == "" {
		o.Prefix = "localsfn"
	}
	for i := range len(o.Prefix) {
		if !plain(o.Prefix[i]) {
			return nil, fmt.Errorf("open store: prefix %q: only letters, digits, - and _", o.Prefix)
		}
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(o.Timeout))
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{nc: nc, js: js, index: newIndex(), timeout: o.Timeout, subjects: o.Prefix + ".log.", name: strings.ToUpper(o.Prefix) + "_LOG"}
	if s.stream, err = js.CreateOrUpdateStream(ctx, s.streamConfig(o)); err != nil {
		return nil, fmt.Errorf("open stream %s: %w", s.name, err)
	}
	bucket := o.Prefix + "-machines"
	s.kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: bucket, Description: "state machines and their definitions", Storage: jetstream.FileStorage, Replicas: o.Replicas,
	})
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	if s.machines, err = openMachines(ctx, s.kv); err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return s, nil
}

func (s *Store) streamConfig(o Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        s.name,
		Description: "executions: one subject each, one message per decision",
		Subjects:    []string{s.subjects + "*.*"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		MaxMsgSize:  -1,
		AllowDirect: true,
		Replicas:    o.Replicas,
		// Nothing here expires by itself: an open execution may be older than
		// any age. Expire decides what goes.
		Duplicates: time.Second, // no message ids are used; the smallest window costs least
	}
}

// Close stops following the state machines. The connection is the caller's.
func (s *Store) Close() { s.machines.close() }
