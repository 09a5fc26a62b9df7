package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine"
	"callfleet/internal/localsfn/store"
)

// chooser looks at an execution, which is loaded and locked, and says what
// happens to it; a nil input is nothing. It is asked again when the execution
// was loaded again.
type chooser func(l *live) (machine.Input, error)

const (
	// maxReadAhead and maxReadBytes bound the reads of one decision, and with
	// them its record.
	maxReadAhead = 4
	maxReadBytes = 32 << 10
	// readTimeout is how long a read may hold an execution. After it the task
	// is handed off, and waits for its answer without holding anything.
	readTimeout = 250 * time.Millisecond
)

// conflicts bounds how often one input is decided anew because other writers
// were faster; each of those made progress, so more means something is wrong.
const conflicts = 50

// apply lets one input happen to an execution: load it if need be, decide,
// append, act. When it returns nil, what was decided is in the log.
func (e *Engine) apply(l *live, choose chooser) error {
	l = e.lock(l)
	defer l.mu.Unlock()
	for range conflicts {
		if !e.begun() {
			return ErrClosed
		}
		if l.x == nil {
			if err := e.load(l); err != nil {
				return e.failed(l, err)
			}
		}
		in, err := choose(l)
		if in == nil || err != nil {
			return err
		}
		err = e.decide(l, in)
		if err == nil {
			l.failures = 0
			return nil
		}
		l.x = nil // it is ahead of the log
		if !errors.Is(err, store.ErrConflict) {
			return e.failed(l, err)
		}
	}
	return e.failed(l, fmt.Errorf("execution %s: %d conflicts in a row", l.key, conflicts))
}

// decide runs one input to its end. Called with l.mu held and l.x loaded; an
// error leaves l.x ahead of the log.
func (e *Engine) decide(l *live, in machine.Input) error {
	for more := true; more; in = (machine.Continue{}) {
		before := l.x.LastID()
		var events []history.Event
		events, more = machine.Decide(l.program, l.x, in, machine.Env{Now: time.Now(), Rand: source{}})
		if len(events) == 0 {
			continue
		}
		if !more {
			events, more = e.readAhead(l, before, events)
		}
		if err := e.append(l, events); err != nil {
			return err
		}
		e.act(l, l.x.CommandsSince(before))
	}
	e.settle(l)
	return nil
}

// readAhead does a task that only reads, and lets the machine go on with what
// it read, so that both are one record of the log. The rule is append, then
// act; a read is no act.
func (e *Engine) readAhead(l *live, before int64, events []history.Event) (all []history.Event, more bool) {
	if l.x.Input().Size() > maxReadBytes {
		return events, false
	}
	for range maxReadAhead {
		commands := l.x.CommandsSince(before)
		if len(commands) != 1 || !e.o.Caller.Reads(commands[0].Resource) || l.acting[commands[0].Task] != nil {
			break
		}
		in, ok := e.readNow(l, &commands[0])
		if !ok {
			break // it is handed off like any other
		}
		var next []history.Event
		next, more = machine.Decide(l.program, l.x, in, machine.Env{Now: time.Now(), Rand: source{}})
		events = append(events, next...)
		if more {
			break
		}
	}
	return events, more
}

// readNow does a task that only reads, within a moment.
func (e *Engine) readNow(l *live, c *machine.Command) (in machine.Input, ok bool) {
	ctx, cancel := context.WithTimeout(e.ctx, readTimeout)
	defer cancel()
	out, f, ok := e.call(ctx, l.key, c, e.spans.Parent(l.x.Start()))
	if !ok || !out.IsAbsent() && out.Size() > maxReadBytes {
		return nil, false
	}
	return answer(c, out, f), true
}

// append writes the events of one decision.
func (e *Engine) append(l *live, events []history.Event) error {
	r := store.Record{Key: l.key, Meta: e.meta(l), Data: history.Encode(events)}
	var end *closing
	if l.x.Done() {
		end = e.outbox.begin(l.key)
	}
	seq, err := e.store.Append(context.Background(), &r, l.last)
	if err != nil {
		if end != nil {
			// Whether the end is in the log may be known only when it is
			// loaded again; until then the mark stays below it.
			e.outbox.failed(end, errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrTooLarge))
		}
		return err
	}
	if l.last == 0 {
		l.first = seq
		if e.o.RunningEvents {
			e.outbox.announce(l.key, e.message(l.x, machine.Running))
		}
	}
	l.last = seq
	if end != nil {
		e.outbox.done(end, seq, l.x)
	}
	if l.x.Done() {
		e.spans.Execution(l.x)
	}
	return nil
}

// meta is the header of the next record.
func (e *Engine) meta(l *live) store.Meta {
	m := store.Meta{Status: status(l.x.Status()), Started: l.x.Started(), First: l.first, Writer: e.instance}
	if l.x.Done() {
		m.Stopped = l.x.Stopped()
	}
	return m
}

func status(s machine.Status) store.Status {
	st, ok := store.ParseStatus(string(s))
	if !ok {
		return store.Running
	}
	return st
}

// settle does what follows from the state an execution has reached: forget it
// when it has ended, else set its timer. Called with l.mu held.
func (e *Engine) settle(l *live) {
	if l.x.Done() {
		for _, h := range l.acting {
			h.cancel()
		}
		e.forget(l)
		return
	}
	if at, ok := l.x.NextDeadline(); ok {
		e.wake(l, time.Until(at))
	} else if l.timer != nil {
		l.timer.Stop()
	}
}

// wake sets the one timer of an execution. Called with l.mu held.
func (e *Engine) wake(l *live, after time.Duration) {
	if l.timer == nil {
		l.timer = time.AfterFunc(after, func() { e.tick(l) })
	} else {
		l.timer.Reset(after)
	}
}

// tick is what the timer does: load the execution if that failed before, and
// let it have its deadline. A tick that comes too early (the clock was set, the
// deadline moved) decides nothing and sets the timer anew.
func (e *Engine) tick(l *live) {
	err := e.apply(l, func(l *live) (machine.Input, error) {
		if at, ok := l.x.NextDeadline(); ok && !time.Now().Before(at) {
			return machine.Tick{}, nil
		}
		e.settle(l)
		return nil, nil
	})
	if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrNotFound) {
		e.log.WarnContext(e.ctx, "execution is at rest; trying again", "execution", l.key.String(), "error", err)
	}
}

// failed throws an execution's state away after a failed load or append and
// makes sure that it is loaded again, however quiet it is: what the log says
// then is acted on. Called with l.mu held; returns err.
func (e *Engine) failed(l *live, err error) error {
	l.x = nil
	if errors.Is(err, store.ErrNotFound) && l.last == 0 {
		e.forget(l) // never started
		return err
	}
	wait := min(50*time.Millisecond<<min(l.failures, 8), 10*time.Second)
	l.failures++
	e.wake(l, wait)
	return err
}

// load folds an execution's records, and acts on all it owes: nothing is known
// of what was acted on when they were written. Called with l.mu held.
func (e *Engine) load(l *live) error {
	if err := e.read(l); err != nil {
		return err
	}
	e.act(l, l.x.Commands())
	e.settle(l)
	return nil
}

// read is load without acting.
func (e *Engine) read(l *live) error {
	records, err := e.store.Load(e.ctx, l.key)
	if err != nil {
		return err
	}
	x, err := fold(records)
	if err != nil {
		return err
	}
	program, err := e.program(e.ctx, x.Start().Revision)
	if err != nil {
		return fmt.Errorf("execution %s: %w", l.key, err)
	}
	last := &records[len(records)-1]
	l.x, l.program, l.first, l.last = x, program, records[0].Seq, last.Seq
	if ours := x.Done() && last.Writer == e.instance; e.outbox.found(l.key, last.Seq, ours) {
		e.spans.Execution(x)
	}
	return nil
}

// fold makes an execution of its records.
func fold(records []store.Record) (*machine.Execution, error) {
	x := &machine.Execution{}
	for i := range records {
		events, err := history.Decode(records[i].Data)
		if err != nil {
			return nil, fmt.Errorf("record %d of execution %s: %w", records[i].Seq, records[i].Key, err)
		}
		for _, ev := range events {
			x.Apply(ev)
		}
	}
	if x.Start() == nil {
		return nil, fmt.Errorf("execution %s: its log does not begin with its start", records[0].Key)
	}
	return x, nil
}
