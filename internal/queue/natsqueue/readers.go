package natsqueue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// presentFor and absentFor are how long it is believed that a run has a
	// consumer, or has none. Events that come too late are kept until the feed's
	// age takes them; events that are dropped too early would be lost, which
	// needs a run whose consumer was made within this time after an event for it.
	presentFor = 10 * time.Second
	absentFor  = 500 * time.Millisecond
	// maxReaders bounds the runs that are remembered.
	maxReaders = 4096
)

// readers knows which runs have a consumer on a feed's stream.
type readers struct {
	js     jetstream.JetStream
	stream string

	mu   sync.Mutex
	runs map[string]reader // guarded by mu
}

// reader is what is known of a run.
type reader struct {
	present bool
	until   time.Time
}

func newReaders(js jetstream.JetStream, stream string) *readers {
	return &readers{js: js, stream: stream, runs: make(map[string]reader)}
}

// know reports whether the run has a consumer. When the server cannot say, it
// has one. The error is that of ctx.
func (r *readers) know(ctx context.Context, run string) (bool, error) {
	if run == "" {
		return false, nil
	}
	now := time.Now()
	r.mu.Lock()
	known, ok := r.runs[run]
	r.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.present, nil
	}
	_, err := r.js.Consumer(ctx, r.stream, run)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	present := !errors.Is(err, jetstream.ErrConsumerNotFound)
	r.remember(run, present)
	return present, nil
}

func (r *readers) remember(run string, present bool) {
	lasts := absentFor
	if present {
		lasts = presentFor
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.runs) >= maxReaders {
		clear(r.runs) // asking anew costs less than keeping an order
	}
	r.runs[run] = reader{present: present, until: time.Now().Add(lasts)}
}
