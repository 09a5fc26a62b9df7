package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"callfleet/internal/blob"
	"callfleet/internal/call"
)

// maxPart bounds a part of the journal that is read.
const maxPart = maxResults

// replay reads the journal of a batch: the first outcome of each call, and the
// number of the part that is not there yet. The store has a while for each part,
// without end when that is 0.
func (s *Store) replay(ctx context.Context, id string, while time.Duration) (done []call.CallOutcome, next int, err error) {
	seen := map[string]bool{}
	for next = 1; ; next++ {
		once, cancel := ctx, context.CancelFunc(func() {})
		if while > 0 {
			once, cancel = context.WithTimeout(ctx, while)
		}
		part, err := s.part(once, id, next)
		cancel()
		if errors.Is(err, blob.ErrNotFound) {
			return done, next, nil
		}
		if err != nil {
			return done, next, err
		}
		for _, o := range part {
			if !seen[o.ID] {
				seen[o.ID] = true
				done = append(done, o)
			}
		}
	}
}

// part reads one part of the journal.
func (s *Store) part(ctx context.Context, id string, n int) ([]call.CallOutcome, error) {
	o, err := s.blobs.Get(ctx, s.blobs.URL(key(id, strconv.Itoa(n))))
	if err != nil {
		return nil, err
	}
	defer o.Close()
	text, err := io.ReadAll(io.LimitReader(o, maxPart+1))
	if err == nil && len(text) > maxPart {
		err = fmt.Errorf("it has more than %d bytes", maxPart)
	}
	if err != nil {
		return nil, err
	}
	return call.DecodeOutcomes(text)
}

// saveGrace is how long a part may still be written when the work has ended.
const saveGrace = 5 * time.Second

// journal is that of one batch, written by the goroutine of run.
type journal struct {
	store   *Store
	id      string
	next    int                      // the part to write; owned by run
	learn   func([]call.CallOutcome) // told what another worker has written
	entries chan entry
}

// entry is an outcome on its way into the journal.
type entry struct {
	outcome call.CallOutcome
	written chan<- error // holds one
}

// add returns when the outcome is in the store. run must be running.
func (j *journal) add(o call.CallOutcome) error {
	written := make(chan error, 1)
	j.entries <- entry{o, written}
	return <-written
}

// run writes until entries is closed. What has come by then is written even when
// ctx has ended: the calls have been made.
func (j *journal) run(ctx context.Context) {
	saving, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(saveGrace, func() { giveUp(context.Cause(ctx)) })
	})()
	for first := range j.entries {
		group := append(make([]entry, 0, len(j.entries)+1), first)
		for range len(j.entries) {
			group = append(group, <-j.entries)
		}
		outcomes := make([]call.CallOutcome, len(group))
		for i, e := range group {
			outcomes[i] = e.outcome
		}
		err := failure(ctx, "write the journal of batch "+j.id, j.write(saving, outcomes))
		for _, e := range group {
			e.written <- err
		}
	}
}

// write puts the outcomes into the first part that is not there.
func (j *journal) write(ctx context.Context, outcomes []call.CallOutcome) error {
	for {
		theirs, err := j.store.part(ctx, j.id, j.next)
		if errors.Is(err, blob.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		j.next++
		j.learn(theirs)
	}
	text, err := call.EncodeOutcomes(outcomes)
	if err != nil {
		return err
	}
	if _, err := j.store.blobs.Put(ctx, key(j.id, strconv.Itoa(j.next)), jsonLines, bytes.NewReader(text)); err != nil {
		return err
	}
	j.next++
	return nil
}
