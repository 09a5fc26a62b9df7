package producer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"callfleet/internal/blob"
	"callfleet/internal/call"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/retry"
	"callfleet/internal/producer/window"
	"callfleet/internal/queue"
)

// Batches are executions that make many calls; batch.Store is it. Safe for
// concurrent use.
type Batches interface {
	// Pack makes what a message carries of the calls of the batch id: the same of
	// the same calls.
	Pack(ctx context.Context, id string, calls []call.BatchCall) (*call.Batch, error)
	// Outcomes are what the calls came to of a batch whose execution has ended: of
	// all when it succeeded, else of those that were made before. A *call.Failure
	// will not pass, any other error may.
	Outcomes(ctx context.Context, o call.Outcome) ([]call.CallOutcome, error)
}

const (
	// maxPackBytes bounds the params of one batch, which a worker has in memory.
	maxPackBytes = 4 << 20
	// fillFor is how long a batch waits for lines that come slowly.
	fillFor = 200 * time.Millisecond
	// storeTimeout bounds one try to pack or to open, after which the trouble is
	// logged.
	storeTimeout = time.Minute
)

// batching reports whether executions carry many calls.
func (s *session) batching() bool { return s.opts.PerExecution > 1 }

// assign says of each request which execution it is in: those of one template
// and method, as many as may be, in the order of the lines. It depends on
// nothing but the requests, so that a resumed run comes to the same. The
// execution is named after its first line.
func (s *session) assign(good []candidate) {
	if !s.batching() {
		return
	}
	type kind struct{ template, method string }
	type filling struct {
		id           string
		calls, bytes int
	}
	open := map[kind]*filling{}
	for i := range good {
		c := &good[i]
		k, n := kind{c.request.Template, c.request.Method}, len(c.request.Params)
		f := open[k]
		if f == nil || f.calls == s.opts.PerExecution || f.bytes+n > maxPackBytes {
			f = &filling{id: s.id + "-batch-" + strconv.FormatInt(c.line, 10)}
			open[k] = f
		}
		f.calls, f.bytes = f.calls+1, f.bytes+n
		c.batch = f.id
	}
}

// sift takes out the calls that cannot be made, which must not be in a batch
// with others. That is written down before the batch is, so that a resumed run
// puts the same calls into it, whatever their templates declare by then.
func (s *session) sift(ctx context.Context, all []candidate) (good []candidate, refused []journal.Result) {
	if !s.batching() {
		return all, nil
	}
	for _, c := range all {
		r := c.request
		err := s.deps.Checker.Check(ctx, r)
		if len(r.Params) > s.opts.ClaimAbove {
			r.Params = nil // it has not to fit into a message
		}
		if err == nil {
			_, err = call.EncodeRequest(r)
		}
		if err == nil {
			good = append(good, c)
			continue
		}
		f, ok := errors.AsType[*call.Failure](err)
		if !ok {
			f = &call.Failure{Name: BadInput, Cause: err.Error()}
		}
		refused = append(refused, refusal(c, f))
	}
	return good, refused
}

// pack makes the messages of batches, one for each execution, and the results of
// calls whose batch cannot be packed.
func (s *session) pack(ctx context.Context, good []candidate) (msgs []queue.Message, refused []journal.Result, err error) {
	var ids []string
	calls := map[string][]candidate{}
	for _, c := range good {
		if calls[c.batch] == nil {
			ids = append(ids, c.batch)
		}
		calls[c.batch] = append(calls[c.batch], c)
	}
	for _, id := range ids {
		m, err := s.packOne(ctx, id, calls[id])
		if f, ok := errors.AsType[*call.Failure](err); ok {
			for _, c := range calls[id] {
				refused = append(refused, refusal(c, f))
			}
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		msgs = append(msgs, m)
	}
	return msgs, refused, nil
}

// packOne makes the message of a batch. Its trace is that of its first call.
func (s *session) packOne(ctx context.Context, id string, group []candidate) (m queue.Message, err error) {
	calls := make([]call.BatchCall, len(group))
	for i, c := range group {
		r := c.request
		calls[i] = call.BatchCall{ID: r.ID, Params: r.Params, FlowKey: r.FlowKey, Deadline: r.Deadline, Trace: r.Trace}
		if len(r.Params) == 0 {
			calls[i].Params = []byte("{}")
		}
	}
	first := group[0].request
	err = retry.Do(ctx, s.opts.Log, "pack a batch", func() error {
		once, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		b, err := s.deps.Batches.Pack(once, id, calls)
		if errors.Is(err, blob.ErrRefused) {
			return &call.Failure{Name: call.BlobUnavailable, Cause: err.Error()}
		}
		if err == nil {
			m, err = s.deps.Encoder.Encode(ctx, call.Request{ID: id, Template: first.Template, Method: first.Method, Trace: first.Trace, Batch: b})
		}
		return err
	})
	return m, err
}

func refusal(c candidate, f *call.Failure) journal.Result {
	res := journal.Failed(c.request.ID, c.line, f)
	res.TraceID = c.request.Trace.ID()
	return res
}

// results are those of an outcome: of the open calls that it is of.
func (s *session) results(ctx context.Context, o call.Outcome) ([]journal.Result, error) {
	if !s.batching() {
		if res, ok := s.result(o); ok {
			return []journal.Result{res}, nil
		}
		return nil, nil
	}
	if !o.Status.Ended() {
		return nil, nil
	}
	members := s.open.Members(o.ID)
	if len(members) == 0 {
		return nil, nil // another event has told it
	}
	var outcomes []call.CallOutcome
	err := retry.Do(ctx, s.opts.Log, "open the results of a batch", func() (err error) {
		once, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		outcomes, err = s.deps.Batches.Outcomes(once, o)
		return err
	})
	f, bad := errors.AsType[*call.Failure](err)
	if err != nil && !bad {
		return nil, err
	}
	return s.spread(o, outcomes, f), nil
}

// spread gives every call of a batch its result: its own outcome, or else what
// the batch came to.
func (s *session) spread(o call.Outcome, outcomes []call.CallOutcome, f *call.Failure) []journal.Result {
	rest := call.Outcome{Status: o.Status, Error: o.Error, Cause: o.Cause, Started: o.Started, Stopped: o.Stopped}
	if o.Status == call.StatusSucceeded {
		rest.Status, rest.Error, rest.Cause = call.StatusFailed, string(call.Internal), fmt.Sprintf("the results of %s do not have this call", o.ID)
		if f != nil {
			rest.Error, rest.Cause = string(f.Name), f.Cause
		}
	}
	own := make(map[string]call.CallOutcome, len(outcomes))
	for _, c := range outcomes {
		own[c.ID] = c
	}
	var results []journal.Result
	for _, id := range s.open.Members(o.ID) {
		c, ok := s.open.Take(id)
		if !ok {
			continue
		}
		of := rest
		if mine, made := own[id]; made {
			of = mine.Outcome()
		}
		of.ID = id
		results = append(results, journal.ResultOf(of, sentAs(c)))
	}
	return results
}

func sentAs(c window.Call) journal.Sent {
	return journal.Sent{Line: c.Line, At: c.Sent, TraceID: c.TraceID}
}
