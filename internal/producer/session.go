package producer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/report"
	"callfleet/internal/producer/requestid"
	"callfleet/internal/producer/span"
	"callfleet/internal/producer/window"
	"callfleet/internal/queue"
)

// session is one process's work on a run.
type session struct {
	*Producer
	id      string
	path    string // of the call file
	journal *journal.Run
	state   *journal.State // what earlier processes did; read only after begin
	refused journal.Lines  // those that Checker has refused, or were bad input; read only after begin
	tracing *span.Maker
	open    *window.Window
	checker requestid.Checker
	stats   report.Stats
	feed    queue.Feed

	lines   *callfile.Reader
	ahead   *callfile.Line // read, and not yet used; owned by the publishing goroutine
	batches int64          // intents written; owned by the publishing goroutine
	notes   int            // bad lines shown; owned by the publishing goroutine

	read        int64        // lines read; owned by whoever reads
	total       atomic.Int64 // lines of the file, 0 while not known
	published   atomic.Int64 // requests published by this process
	before      int64        // lines done by earlier processes
	complete    bool         // every line has its result
	interrupted bool
}

// begin makes or takes up the run.
func (p *Producer) begin(ctx context.Context) (*session, error) {
	s := &session{Producer: p, state: &journal.State{}}
	var err error
	if p.opts.Resume {
		err = s.resume()
	} else {
		err = s.create(ctx)
	}
	if err != nil {
		return nil, err
	}
	s.journal.Sync(p.opts.Sync)
	m := s.journal.Meta()
	s.checker.Run = s.id
	s.tracing = span.New(span.Options{
		Tracers: p.opts.Tracers, System: p.opts.System, Destination: p.deps.Encoder.Destination(), Seed: m.Seed,
	})
	s.open = window.New(p.opts.Window, time.Now())
	s.before = s.state.Done.Len()
	s.batches = int64(len(s.state.Batches))
	return s, nil
}

func (s *session) create(ctx context.Context) error {
	o := s.opts
	s.id, s.path = o.Run, o.File
	if s.id == "" {
		s.id = requestid.NewRun(time.Now())
	}
	m := journal.Meta{
		File: callfile.Stdin, MaxLine: o.MaxLine, Queue: s.deps.Encoder.Destination(), Format: string(o.Format),
	}
	if s.batching() {
		m.Batch = o.PerExecution
	}
	if o.File != callfile.Stdin {
		if err := m.Describe(o.File); err != nil {
			return err
		}
	}
	run, err := journal.Create(o.Root, s.id)
	if err != nil {
		return err
	}
	s.journal = run
	err = s.at("run-created")
	if err == nil && o.Strict {
		err = s.strict(ctx, &m)
	}
	if err == nil {
		err = run.Commit(m)
	}
	if errors.Is(err, callfile.ErrInput) {
		return errors.Join(err, run.Discard())
	}
	if err != nil {
		return errors.Join(err, run.Close())
	}
	return nil
}

// errNotResumable says why a run cannot go on.
var errNotResumable = errors.New("run cannot be resumed")

func (s *session) resume() error {
	o := s.opts
	s.id = o.Run
	if s.id == "" {
		var err error
		if s.id, err = journal.Latest(o.Root, o.File); err != nil {
			return err
		}
	}
	run, err := journal.Open(o.Root, s.id)
	if err != nil {
		return err
	}
	s.journal, s.path = run, run.Meta().File
	if err := s.resumable(); err != nil {
		return errors.Join(err, run.Close())
	}
	if s.state, err = run.Replay(s.recall); err != nil {
		return errors.Join(err, run.Close())
	}
	return nil
}

// recall takes up a result of an earlier process.
func (s *session) recall(r journal.Result) {
	s.stats.Add(r)
	// A result without times is of a call that was not published.
	if e := call.FailureName(r.Error); r.Durations == nil && (e == BadInput || e == call.TemplateNotFound) {
		s.refused.Add(r.Line)
	}
}

func (s *session) resumable() error {
	m := s.journal.Meta()
	if q := s.deps.Encoder.Destination(); q != m.Queue {
		return fmt.Errorf("%w: it was started on queue %s, not %s", errNotResumable, m.Queue, q)
	}
	if mine := max(1, s.opts.PerExecution); mine != max(1, m.Batch) {
		return fmt.Errorf("%w: it was started with --batch %d, not %d", errNotResumable, max(1, m.Batch), mine)
	}
	if m.File == callfile.Stdin {
		return fmt.Errorf("%w: it reads standard input, which cannot be read again; run a file, or use --strict", errNotResumable)
	}
	if f := s.opts.File; f != "" && f != callfile.Stdin && !samePath(f, m.File) {
		return fmt.Errorf("%w: it is of %s", errNotResumable, m.File)
	}
	if !m.Finished.IsZero() {
		return nil // the results are all there: the file is not needed
	}
	return m.Check()
}

// run does what is left to do.
func (s *session) run(ctx context.Context) error {
	if s.opts.Results != "" {
		if err := s.journal.LinkResults(s.opts.Results); err != nil {
			return err
		}
	}
	if !s.journal.Meta().Finished.IsZero() {
		s.complete = true
		return nil
	}
	feed, err := s.deps.Feed(ctx, s.id)
	if err != nil {
		return fmt.Errorf("open results feed: %w", err)
	}
	s.feed = feed
	if err := s.at("feed-opened"); err != nil {
		return err
	}
	m := s.journal.Meta()
	s.lines, err = callfile.Open(s.path, s.opts.Stdin, callfile.Options{Format: callfile.Format(m.Format), MaxLine: m.MaxLine})
	if err != nil {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return err
	}
	if err := s.work(ctx); err != nil || !s.complete {
		return err
	}
	if err := s.at("all-done"); err != nil {
		return err
	}
	if err := s.journal.Finish(); err != nil {
		return err
	}
	if err := s.at("run-finished"); err != nil {
		return err
	}
	if err := s.feed.End(ctx); err != nil { // the results are complete without
		s.opts.Log.WarnContext(ctx, "feed of a complete run left behind", "run", s.id, "error", err)
	}
	return nil
}

// errInterrupted ends the reading of the file.
var errInterrupted = errors.New("interrupted")

// work runs the goroutines of the session until every call has its outcome.
func (s *session) work(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, work := errgroup.WithContext(ctx)
	intake, halt := context.WithCancelCause(work)
	defer halt(nil)
	g.Go(func() error {
		select {
		case <-s.opts.Interrupt: // nil blocks
			halt(errInterrupted)
		case <-work.Done():
		}
		return nil
	})
	for range listeners {
		g.Go(func() error { return s.listen(work) })
	}
	g.Go(func() error { return s.reconcile(work) })
	g.Go(func() error { s.show(work); return nil })
	g.Go(func() error { s.count(work); return nil })
	var badInput error
	g.Go(func() error {
		defer stop()
		err := s.publish(work, intake)
		if errors.Is(err, callfile.ErrInput) {
			badInput, err = err, nil // what was published still has outcomes
		}
		if err == nil {
			err = s.settle(work, intake)
		}
		s.interrupted = s.interrupted || errors.Is(context.Cause(intake), errInterrupted)
		return err
	})
	err := g.Wait()
	if err != nil || s.interrupted {
		return err
	}
	s.complete = badInput == nil
	return badInput
}

// settle waits for the outcomes of what was published; after an interrupt only
// for a while.
func (s *session) settle(work, intake context.Context) error {
	err := s.open.Drained(intake)
	if !errors.Is(err, errInterrupted) {
		return err
	}
	s.interrupted = true
	last, cancel := context.WithTimeout(work, s.opts.Grace)
	defer cancel()
	if err := s.open.Drained(last); err != nil && work.Err() != nil {
		return err
	}
	return nil
}

// record writes results to the file, then counts them and lets their calls go.
func (s *session) record(results []journal.Result) error {
	if len(results) == 0 {
		return nil
	}
	if err := s.at("result-torn"); err != nil {
		return err
	}
	if err := s.journal.Append(results...); err != nil {
		return err
	}
	if err := s.journal.Flush(); err != nil {
		return err
	}
	if err := s.at("result-flushed"); err != nil {
		return err
	}
	ids := make([]string, 0, len(results))
	for _, r := range results {
		s.stats.Add(r)
		ids = append(ids, r.ID)
	}
	s.open.Remove(ids...)
	return nil
}

// at is where a test makes the process die.
func (s *session) at(point string) error {
	if s.fault == nil {
		return nil
	}
	return s.fault(point)
}

func (s *session) summary(elapsed time.Duration) *report.Summary {
	sum := &report.Summary{
		Run: s.id, Elapsed: elapsed, Open: int64(s.open.Len()),
		Interrupted: s.interrupted, Results: s.opts.Results,
	}
	s.stats.Fill(sum)
	sum.Here = sum.OK + sum.Failed - s.before
	sum.AlreadyDone = s.complete && s.opts.Resume && sum.Here == 0 && s.published.Load() == 0
	if sum.Results == "" {
		sum.Results = s.journal.ResultsPath()
	}
	if !s.complete && s.journal.Meta().File != callfile.Stdin {
		sum.Resume = s.opts.ResumeCommand(s.path, s.id)
	}
	return sum
}

func (s *session) close() error {
	var errs []error
	if s.lines != nil && s.path != callfile.Stdin { // standard input may still be in a Read
		errs = append(errs, s.lines.Close())
	}
	if s.feed != nil {
		errs = append(errs, s.feed.Close())
	}
	return errors.Join(append(errs, s.journal.Close())...)
}

// count finds out how many lines the file has, while it is being read.
func (s *session) count(ctx context.Context) {
	o := callfile.Options{Format: s.lines.Format(), MaxLine: s.opts.MaxLine}
	if n, err := callfile.CountFile(ctx, s.path, o); err == nil {
		s.total.Store(n) // without, progress goes without a total
	}
}

// show keeps the progress display up to date.
func (s *session) show(ctx context.Context) {
	if s.opts.Progress == nil {
		return
	}
	start := time.Now()
	report.Follow(ctx, s.opts.Progress, func() report.Snapshot {
		ok, failed := s.stats.Counts()
		return report.Snapshot{OK: ok, Failed: failed, Total: s.total.Load(), Before: s.before, Elapsed: time.Since(start)}
	})
}
