package batch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"callfleet/internal/blob"
	"callfleet/internal/call"
)

const (
	// inlineCalls is how many bytes of calls go into the message and the input of
	// the execution: these are kept several times, in messages and in histories.
	inlineCalls = 32 << 10
	// inlineResults is how many bytes of results go into the output.
	inlineResults = 16 << 10
	// maxCalls and maxResults bound what is read into memory.
	maxCalls   = 64 << 20
	maxResults = 256 << 20

	jsonLines = "application/jsonl"
)

// Store keeps calls and outcomes of batches. Its methods block until the blob
// store has answered or ctx ends, and are safe for concurrent use.
type Store struct{ blobs blob.Store }

// New returns a store on a blob store.
func New(blobs blob.Store) *Store { return &Store{blobs} }

func key(id, what string) string { return "batches/" + id + "/" + what }

// Pack makes what a message carries of the calls of the batch id. The same calls
// make the same, whenever they are packed.
func (s *Store) Pack(ctx context.Context, id string, calls []call.BatchCall) (*call.Batch, error) {
	b := &call.Batch{Count: len(calls), TimeoutSeconds: call.BatchTimeout(len(calls))}
	text, err := call.EncodeCalls(calls)
	if err != nil {
		return nil, err
	}
	switch {
	case len(text) <= inlineCalls:
		b.Calls = calls
		return b, nil
	case len(text) > maxCalls:
		return nil, fmt.Errorf("the calls have %d bytes, at most %d are allowed", len(text), maxCalls)
	}
	ref, err := s.keepCalls(ctx, key(id, "calls"), text)
	if err != nil {
		return nil, fmt.Errorf("keep the calls of batch %s: %w", id, err)
	}
	b.CallsRef = &ref
	return b, nil
}

// keepCalls puts the calls unless they are there: a worker may be reading them.
func (s *Store) keepCalls(ctx context.Context, key string, text []byte) (call.BlobRef, error) {
	sum := sha256.Sum256(text)
	ref := blob.Ref{URL: s.blobs.URL(key), Bytes: int64(len(text)), ContentType: jsonLines, SHA256: hex.EncodeToString(sum[:])}
	if _, err := s.read(ctx, ref, maxCalls); err == nil {
		return call.BlobRef(ref), nil
	}
	ref, err := s.blobs.Put(ctx, key, jsonLines, bytes.NewReader(text))
	return call.BlobRef(ref), err
}

// Calls are those of a batch. The error is a *call.Failure, or the cause of ctx.
func (s *Store) Calls(ctx context.Context, b call.Batch) ([]call.BatchCall, error) {
	if b.CallsRef == nil {
		return b.Calls, nil
	}
	text, err := s.read(ctx, blob.Ref(*b.CallsRef), maxCalls)
	if err != nil {
		return nil, failure(ctx, "fetch the calls of a batch", err)
	}
	calls, err := call.DecodeCalls(text)
	if err == nil && len(calls) != b.Count {
		err = fmt.Errorf("%d calls were announced, there are %d", b.Count, len(calls))
	}
	if err != nil {
		return nil, &call.Failure{Name: call.BadReference, Cause: "fetch the calls of a batch: " + err.Error()}
	}
	return calls, nil
}

// readTimeout is how long Outcomes waits for one blob. A journal may have as many
// as the batch has calls.
const readTimeout = time.Minute

// Outcomes are what the calls of a batch came to whose execution has ended: all
// when it succeeded, else those that were made before. The error is a
// *call.Failure when it will not pass. Any other comes a minute after the store
// has gone away, at the latest.
func (s *Store) Outcomes(ctx context.Context, o call.Outcome) ([]call.CallOutcome, error) {
	if o.Status != call.StatusSucceeded {
		done, _, err := s.replay(ctx, o.ID, readTimeout)
		if err != nil {
			return nil, fmt.Errorf("read the journal of batch %s: %w", o.ID, err)
		}
		return done, nil
	}
	m, err := call.DecodeManifest(o.Output)
	if err != nil {
		return nil, &call.Failure{Name: call.Internal, Cause: err.Error()}
	}
	if m.ResultsRef == nil {
		return m.Results, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	what := "fetch the results of batch " + o.ID
	text, err := s.read(ctx, blob.Ref(*m.ResultsRef), maxResults)
	switch {
	case isBad(err):
		return nil, &call.Failure{Name: call.BadReference, Cause: what + ": " + err.Error()}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	outcomes, err := call.DecodeOutcomes(text)
	if err != nil {
		return nil, &call.Failure{Name: call.BadReference, Cause: what + ": " + err.Error()}
	}
	return outcomes, nil
}

// finish puts the outcomes where the manifest says.
func (s *Store) finish(ctx context.Context, w Work, outcomes []call.CallOutcome) (call.Manifest, error) {
	m := call.Count(outcomes)
	text, err := call.EncodeOutcomes(outcomes)
	if err != nil {
		return m, err
	}
	if len(text) <= min(inlineResults, cmp.Or(w.Room, inlineResults)) {
		m.Results = outcomes
		return m, nil
	}
	ref, err := s.blobs.Put(ctx, key(w.ID, "r-"+strings.ToLower(rand.Text())), jsonLines, bytes.NewReader(text))
	if err != nil {
		return m, failure(ctx, "keep the results of batch "+w.ID, err)
	}
	m.ResultsRef = (*call.BlobRef)(&ref)
	return m, nil
}

// read reads a whole blob by its reference.
func (s *Store) read(ctx context.Context, ref blob.Ref, most int64) ([]byte, error) {
	if ref.Bytes > most {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", blob.ErrRefused, ref.Bytes, most)
	}
	o, err := blob.Open(ctx, s.blobs, ref)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return io.ReadAll(o)
}

// failure names what went wrong with the store; nil for nothing.
func failure(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case isBad(err):
		return &call.Failure{Name: call.BadReference, Cause: what + ": " + err.Error()}
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return context.Cause(ctx)
	}
	return &call.Failure{Name: call.BlobUnavailable, Cause: what + ": " + err.Error()}
}

// isBad reports whether a reference stands for nothing, and never will.
func isBad(err error) bool {
	return errors.Is(err, blob.ErrForeign) || errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrDigest)
}
