// Package pack puts calls of one template into executions that they share, and
// takes apart what became of these.
package pack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"callfleet/internal/blob"
	"callfleet/internal/call"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/retry"
	"callfleet/internal/producer/window"
	"callfleet/internal/queue"
)

// Store keeps calls and outcomes of batches; batch.Store is it. Safe for
// concurrent use.
type Store interface {
	// Pack makes what a message carries of the calls of the batch id: the same of
	// the same calls.
	Pack(ctx context.Context, id string, calls []call.BatchCall) (*call.Batch, error)
	// Outcomes are what the calls came to of a batch whose execution has ended: of
	// all when it succeeded, else of those that were made before. A *call.Failure
	// will not pass, any other error may, and comes soon after the store has gone
	// away: the trouble is logged then.
	Outcomes(ctx context.Context, o call.Outcome) ([]call.CallOutcome, error)
}

const (
	// maxBytes bounds the params of one batch, which a worker has in memory.
	maxBytes = 4 << 20
	// tryTimeout bounds one try to pack, after which the trouble is logged.
	tryTimeout = time.Minute
)

// Packer packs the calls of one run. It is safe for concurrent use.
type Packer struct {
	Run   string // the run's id
	Size  int    // most calls of an execution
	Store Store
	// Encode makes the message of a request.
	Encode func(ctx context.Context, r call.Request) (queue.Message, error)
	Log    *slog.Logger
}

// Call is a request and its line.
type Call struct {
	Line    int64
	Request call.Request
}

// Assign says of each call the id of the execution that it is in: those of one
// template, method and version, as many as may be, in the order of the lines. It
// depends on nothing but the calls, so that a resumed run comes to the same. An
// execution is named after its first line.
func (p *Packer) Assign(calls []Call) []string {
	type kind struct {
		template, method string
		version          int
	}
	type filling struct {
		id           string
		calls, bytes int
	}
	ids, open := make([]string, len(calls)), map[kind]*filling{}
	for i, c := range calls {
		k, n := kind{c.Request.Template, c.Request.Method, c.Request.Version}, len(c.Request.Params)
		f := open[k]
		if f == nil || f.calls == p.Size || f.bytes+n > maxBytes {
			f = &filling{id: p.Run + "-batch-" + strconv.FormatInt(c.Line, 10)}
			open[k] = f
		}
		f.calls, f.bytes = f.calls+1, f.bytes+n
		ids[i] = f.id
	}
	return ids
}

// Message makes the message of an execution. Its trace is that of its first
// call. A *call.Failure will not pass.
func (p *Packer) Message(ctx context.Context, id string, group []Call) (m queue.Message, err error) {
	calls := make([]call.BatchCall, len(group))
	for i, c := range group {
		r := c.Request
		calls[i] = call.BatchCall{ID: r.ID, Params: r.Params, FlowKey: r.FlowKey, Deadline: r.Deadline, Trace: r.Trace}
		if len(r.Params) == 0 {
			calls[i].Params = []byte("{}")
		}
	}
	first := group[0].Request
	err = retry.Do(ctx, p.Log, "pack a batch", func() error {
		once, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		b, err := p.Store.Pack(once, id, calls)
		if errors.Is(err, blob.ErrRefused) {
			return &call.Failure{Name: call.BlobUnavailable, Cause: err.Error()}
		}
		if err == nil {
			m, err = p.Encode(ctx, call.Request{
				ID: id, Template: first.Template, Method: first.Method, Version: first.Version, Trace: first.Trace, Batch: b,
			})
		}
		return err
	})
	return m, err
}

// Results are those of the open calls that an execution had, which are taken
// from the window: to each its own outcome, or else what the execution came to.
func (p *Packer) Results(ctx context.Context, o call.Outcome, open *window.Window) ([]journal.Result, error) {
	if !o.Status.Ended() || len(open.Members(o.ID)) == 0 { // or another event has told it
		return nil, nil
	}
	own := map[string]call.CallOutcome{}
	err := retry.Do(ctx, p.Log, "open the results of a batch", func() error {
		outcomes, err := p.Store.Outcomes(ctx, o)
		for _, c := range outcomes {
			own[c.ID] = c
		}
		return err
	})
	f, bad := errors.AsType[*call.Failure](err)
	if err != nil && !bad {
		return nil, err
	}
	rest := restOf(o, f)
	var results []journal.Result
	for _, id := range open.Members(o.ID) {
		c, ok := open.Take(id)
		if !ok {
			continue
		}
		of := rest
		if mine, made := own[id]; made {
			of = mine.Outcome()
		}
		of.ID = id
		results = append(results, journal.ResultOf(of, journal.Sent{Line: c.Line, At: c.Sent, TraceID: c.TraceID}))
	}
	return results, nil
}

// restOf is what became of calls of an execution that have no outcome of their
// own; f is why that could not be found out.
func restOf(o call.Outcome, f *call.Failure) call.Outcome {
	rest := call.Outcome{Status: o.Status, Error: o.Error, Cause: o.Cause, Started: o.Started, Stopped: o.Stopped}
	if o.Status != call.StatusSucceeded {
		return rest
	}
	rest.Status, rest.Error, rest.Cause = call.StatusFailed, string(call.Internal), fmt.Sprintf("the results of %s do not have this call", o.ID)
	if f != nil {
		rest.Error, rest.Cause = string(f.Name), f.Cause
	}
	return rest
}
