package engine

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"callfleet/internal/localsfn/machine"
	"callfleet/internal/localsfn/store"
)

// recoverers is how many executions are read at a time.
const recoverers = 16

// recover takes up what the log holds: every open execution goes on, and ends
// that were not published are.
func (e *Engine) recover(ctx context.Context) error {
	began := time.Now()
	marks, err := e.store.Instances(ctx)
	if err != nil {
		return err
	}
	last, err := e.store.LastSeq(ctx)
	if err != nil {
		return err
	}
	e.outbox.appended = last // nobody else has it yet
	if err := e.outbox.save(ctx, store.Instance{ID: e.instance, Published: last, At: began.UTC()}); err != nil {
		return err
	}
	close(e.marked)
	e.wg.Go(e.outbox.publish)

	published := map[string]uint64{}
	for _, m := range marks {
		published[m.ID] = m.Published
	}
	var open []store.Key
	closed := 0
	err = e.store.Scan(ctx, func(x store.Entry) {
		if !x.Status.Closed() {
			open = append(open, x.Key)
			return
		}
		closed++
		if mark, ok := published[x.Writer]; ok && x.Last > mark {
			e.outbox.inherit(x.Key, x.Last)
		}
	})
	if err != nil {
		return err
	}
	e.outbox.adopt(marks)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(recoverers)
	for _, k := range open {
		g.Go(func() error {
			e.revive(k)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	e.log.InfoContext(ctx, "recovered executions", "open", len(open), "closed", closed, "duration", time.Since(began))
	return nil
}

// adopt notes the instances that left what was just taken up. Whether they are
// dead shows when they stop writing their marks.
func (o *outbox) adopt(marks []store.Instance) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead = map[string]bool{}
	for _, m := range marks {
		o.dead[m.ID] = true
	}
}

// revive lets one open execution go on. The clocks of heartbeats start anew:
// nobody could beat while the engine was down. One that cannot be read does not
// keep the others waiting.
func (e *Engine) revive(k store.Key) {
	l := e.lock(e.get(k))
	defer l.mu.Unlock()
	if l.x != nil {
		return // something happened to it meanwhile
	}
	err := e.read(l)
	if err == nil {
		commands := l.x.Commands()
		for i := range commands {
			if c := &commands[i]; c.Submitted && c.HeartbeatSeconds > 0 && err == nil {
				err = e.decide(l, machine.Heartbeat{Task: c.Task})
			}
		}
		if err == nil {
			e.act(l, commands)
			e.settle(l)
			return
		}
	}
	e.log.WarnContext(e.ctx, "cannot recover execution; trying again", "execution", k.String(), "error", fmt.Errorf("recover: %w", e.failed(l, err)))
}
