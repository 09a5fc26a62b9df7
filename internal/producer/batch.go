package producer

import (
	"context"
	"errors"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/pack"
	"callfleet/internal/queue"
)

// fillFor is how long executions that carry many calls wait for lines that come
// slowly.
const fillFor = 200 * time.Millisecond

// batching reports whether executions carry many calls.
func (s *session) batching() bool { return s.opts.PerExecution > 1 }

func (s *session) packer() *pack.Packer {
	return &pack.Packer{Run: s.id, Size: s.opts.PerExecution, Store: s.deps.Batches, Encode: s.deps.Encoder.Encode, Log: s.opts.Log}
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

// assign says of each request which execution it is in.
func (s *session) assign(good []candidate) {
	if !s.batching() {
		return
	}
	calls := make([]pack.Call, len(good))
	for i, c := range good {
		calls[i] = pack.Call{Line: c.line, Request: c.request}
	}
	for i, id := range s.packer().Assign(calls) {
		good[i].batch = id
	}
}

// pack makes the messages of executions, and the results of calls whose
// execution has none.
func (s *session) pack(ctx context.Context, good []candidate) (msgs []queue.Message, refused []journal.Result, err error) {
	var ids []string
	calls := map[string][]pack.Call{}
	for _, c := range good {
		if calls[c.batch] == nil {
			ids = append(ids, c.batch)
		}
		calls[c.batch] = append(calls[c.batch], pack.Call{Line: c.line, Request: c.request})
	}
	for _, id := range ids {
		m, err := s.packer().Message(ctx, id, calls[id])
		if f, ok := errors.AsType[*call.Failure](err); ok {
			for _, c := range calls[id] {
				refused = append(refused, refusal(candidate{line: c.Line, request: c.Request}, f))
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

func refusal(c candidate, f *call.Failure) journal.Result {
	res := journal.Failed(c.request.ID, c.line, f)
	res.TraceID = c.request.Trace.ID()
	return res
}
