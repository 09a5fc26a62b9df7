package engine

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/engine/span"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/handoff"
	"callfleet/internal/localsfn/machine"
	"callfleet/internal/localsfn/store"
)

// act hands off the tasks that are not being handed off yet. Called with l.mu
// held, after they are in the log.
func (e *Engine) act(l *live, commands []machine.Command) {
	for i := range commands {
		c := commands[i]
		if c.Submitted || c.Resource.Integration == asl.Activity || l.acting[c.Task] != nil {
			continue
		}
		if l.acting == nil {
			l.acting = map[int64]*handing{}
		}
		ctx, cancel := e.taskContext(&c)
		h := &handing{done: make(chan struct{}), cancel: cancel}
		l.acting[c.Task] = h
		start := l.x.Start()
		e.handoffs.Go(func() {
			defer close(h.done)
			defer cancel()
			e.handOff(ctx, l, &c, e.spans.Parent(start))
		})
	}
}

// taskContext ends with the engine or soon after the task's deadline: the
// machine times the task out by itself, a second more leaves it to decide which
// of the two came first.
func (e *Engine) taskContext(c *machine.Command) (context.Context, context.CancelFunc) {
	if c.Deadline.IsZero() {
		return context.WithCancel(e.ctx)
	}
	return context.WithDeadline(e.ctx, c.Deadline.Add(time.Second))
}

// handOff calls a task's service and tells the execution what it answered.
func (e *Engine) handOff(ctx context.Context, l *live, c *machine.Command, parent span.Parent) {
	out, f, ok := e.call(ctx, l.key, c, parent)
	if !ok {
		e.release(l, c.Task)
		return
	}
	e.deliver(l, c, answer(c, out, f))
}

// call calls a task's service. It is not ok when that was given up: the engine
// stops, or the task is no longer waited for.
func (e *Engine) call(ctx context.Context, k store.Key, c *machine.Command, parent span.Parent) (out expr.Value, f *handoff.Failure, ok bool) {
	call := &handoff.Call{
		Resource: c.Resource, Parameters: c.Parameters, Execution: k.Name,
		ID: k.Machine + ":" + k.Name + ":" + strconv.FormatInt(c.Task, 10) + ":" + strconv.FormatInt(c.ScheduledAt.UnixMilli(), 36),
	}
	ctx, sp := e.spans.HandOff(ctx, parent, call)
	out, err := e.o.Caller.Do(ctx, call)
	sp.End(err)
	ok = err == nil || errors.As(err, &f)
	return out, f, ok
}

// answer is what the machine is told about a service's answer.
func answer(c *machine.Command, out expr.Value, f *handoff.Failure) machine.Input {
	switch {
	case f != nil:
		in := machine.TaskFailed{Task: c.Task, Error: &f.Name}
		if f.Cause != "" {
			in.Cause = &f.Cause
		}
		return in
	case c.Resource.Pattern == asl.WaitForTaskToken:
		return machine.TaskSubmitted{Task: c.Task, Output: out}
	}
	return machine.TaskSucceeded{Task: c.Task, Output: out}
}

// deliver tells an execution what a service answered, again and again until it
// is in the log or the engine stops: then the task is handed off anew.
func (e *Engine) deliver(l *live, c *machine.Command, in machine.Input) {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error {
		return e.apply(l, func(*live) (machine.Input, error) { return in, nil })
	}, backoff.WithContext(b, e.ctx), func(err error, wait time.Duration) {
		e.log.WarnContext(e.ctx, "cannot record a service's answer; trying again", "execution", l.key.String(), "task", c.Task, "error", err, "wait", wait)
	})
	e.release(l, c.Task) // only now: until then a load must not hand it off again
	if err != nil && !errors.Is(err, ErrClosed) && e.ctx.Err() == nil {
		e.log.ErrorContext(e.ctx, "a service's answer is lost", "execution", l.key.String(), "task", c.Task, "error", err)
	}
}

// release forgets that a task is being handed off.
func (e *Engine) release(l *live, task int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.acting, task)
}
