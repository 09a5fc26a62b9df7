package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/term"
	"golang.org/x/time/rate"

	"callfleet/internal/app/backend"
	"callfleet/internal/call"
	"callfleet/internal/lifecycle"
	"callfleet/internal/producer"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/report"
	"callfleet/internal/queue"
	"callfleet/internal/stepfn"
)

// run is "producer run".
func (c *cli) run(ctx context.Context) (code int, err error) {
	o := c.cfg.Run
	err = c.with(ctx, embedding{always: o.Embedded, slots: o.Slots}, func(ctx context.Context, b *backend.Backend) error {
		code, err = c.runFile(ctx, b)
		return err
	})
	if err != nil && code == 0 {
		code = 1
	}
	return code, err
}

func (c *cli) runFile(ctx context.Context, b *backend.Backend) (int, error) {
	deps, err := c.deps(ctx, b)
	if err != nil {
		return 1, err
	}
	progress := report.NewProgress(c.std.Err, isTerminal(c.std.Err))
	p, err := producer.New(deps, c.runOptions(ctx, progress))
	if err != nil {
		return 2, err
	}
	// An interrupt stops the publishing; what is under way may still come in.
	last := lifecycle.DrainContext(ctx)
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(last, func() { cancel(context.Cause(last)) })()
	summary, err := p.Run(work)
	progress.Close()
	if summary.Run != "" {
		if _, werr := summary.WriteTo(c.std.Out); werr != nil {
			err = errors.Join(err, fmt.Errorf("write summary: %w", werr))
		}
	}
	return producer.ExitCode(summary, err), err
}

func (c *cli) runOptions(ctx context.Context, progress report.Progress) producer.Options {
	o := c.cfg.Run
	format := callfile.Format(o.Format)
	if o.Format == "auto" {
		format = callfile.FormatAuto
	}
	return producer.Options{
		File: o.File, Stdin: c.std.In, Format: format, Strict: o.Strict,
		Run: o.ID, Resume: o.Resume, Republish: o.Republish,
		Root: filepath.Join(c.cfg.Data, "runs"), Results: o.Results, Sync: c.cfg.Durability == "power",
		Window: o.Window, Interrupt: ctx.Done(), Progress: progress, Log: c.rt.Logger,
	}
}

// deps are the queue, the feed and what finds outcomes that the feed lost.
func (c *cli) deps(ctx context.Context, b *backend.Backend) (producer.Deps, error) {
	deps := producer.Deps{Encoder: producer.Workflow{}, Feed: b.ConsumeResults, Describer: describer{b.Executions}}
	if c.cfg.Command == "run" && c.cfg.Run.Direct {
		deps.Encoder, deps.Describer = producer.NewDirect(b.Templates), nil
	}
	var err error
	deps.Queue, err = b.Publisher(ctx, deps.Encoder.Destination())
	if r := c.cfg.Run.Rate.PerSecond; err == nil && r > 0 {
		deps.Queue = paced{deps.Queue, rate.NewLimiter(rate.Limit(r), max(1, int(r/10)))}
	}
	return deps, err
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// paced publishes at most so many messages a second.
type paced struct {
	queue.Publisher
	limit *rate.Limiter
}

// Publish waits for its turn, message by message when there are many.
func (p paced) Publish(ctx context.Context, msgs ...queue.Message) error {
	for len(msgs) > 0 {
		n := min(len(msgs), p.limit.Burst())
		if err := p.limit.WaitN(ctx, n); err != nil {
			return err
		}
		if err := p.Publisher.Publish(ctx, msgs[:n]...); err != nil {
			return err
		}
		msgs = msgs[n:]
	}
	return nil
}

// describer finds the outcome of a request by its execution.
type describer struct{ executions *stepfn.Client }

// Describe implements producer.Describer.
func (d describer) Describe(ctx context.Context, id string) (call.Outcome, bool, error) {
	e, err := d.executions.Describe(ctx, id)
	if errors.Is(err, stepfn.ErrNotFound) {
		return call.Outcome{}, false, nil
	}
	if err != nil || !e.Status.Ended() {
		return call.Outcome{}, false, err
	}
	return call.Outcome{
		ID: id, Status: e.Status, Input: e.Input, Output: e.Output, Error: e.Error, Cause: e.Cause, Started: e.Started, Stopped: e.Stopped,
	}, true, nil
}
