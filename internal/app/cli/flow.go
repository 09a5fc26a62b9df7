package cli

import (
	"context"
	"fmt"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/cli/show"
	"callfleet/internal/config"
	"callfleet/internal/limit"
	"callfleet/internal/limit/store"
)

// withFlows runs do with what the fleet knows of its flow keys.
func (c *cli) withFlows(ctx context.Context, do func(context.Context, store.Store) error) (int, error) {
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		flows, err := b.Flows(ctx)
		if err != nil {
			return err
		}
		return do(ctx, flows)
	}))
}

// flowList is "producer flow ls".
func (c *cli) flowList(ctx context.Context) (int, error) {
	return c.withFlows(ctx, func(ctx context.Context, s store.Store) error {
		all, err := limit.List(ctx, s)
		if err != nil {
			return err
		}
		return show.Flows(c.std.Out, all, time.Now())
	})
}

// flowSet is "producer flow set".
func (c *cli) flowSet(ctx context.Context) (int, error) {
	set := c.cfg.Flow.Set
	return c.editFlow(ctx, set.FlowKey, func(p *limit.Policy) {
		if set.Rate.Set {
			p.Rate, p.Period = set.Rate.Calls, set.Rate.Period
		}
		if set.Concurrency.Set {
			p.Concurrency = set.Concurrency.N
		}
		if set.Backlog.Set {
			p.Backlog = set.Backlog.N
		}
	})
}

// flowPause is "producer flow pause".
func (c *cli) flowPause(ctx context.Context) (int, error) {
	return c.editFlow(ctx, c.cfg.Flow.Pause, func(p *limit.Policy) { p.Paused = true })
}

func (c *cli) editFlow(ctx context.Context, k config.FlowKey, edit func(*limit.Policy)) (int, error) {
	return c.withFlows(ctx, func(ctx context.Context, s store.Store) error {
		var now limit.Policy
		err := limit.Edit(ctx, s, k.Key, func(p *limit.Policy) {
			edit(p)
			now = *p
		})
		if err == nil {
			fmt.Fprintf(c.std.Out, "%s: %s\n", k.Key, show.Policy(now))
		}
		return err
	})
}

// flowResume is "producer flow resume".
func (c *cli) flowResume(ctx context.Context) (int, error) {
	key := c.cfg.Flow.Resume.Key
	return c.withFlows(ctx, func(ctx context.Context, s store.Store) error {
		err := limit.Resume(ctx, s, key)
		if err == nil {
			fmt.Fprintf(c.std.Out, "%s: resumed\n", key)
		}
		return err
	})
}
