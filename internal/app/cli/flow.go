package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"callfleet/internal/app/backend"
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
		now := time.Now()
		out := tabwriter.NewWriter(c.std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "FLOW\tSTATE\tRATE\tCONCURRENCY\tBACKLOG\tWAITING\tUNTIL")
		for _, f := range all {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", f.Key, f.State(now), rateOf(f.Policy),
				orDash(f.Policy.Concurrency), orDash(f.Policy.Backlog), f.Waiting(now), until(&f, now))
		}
		return out.Flush()
	})
}

// rateOf is the rate as "producer flow set" takes it.
func rateOf(p limit.Policy) string {
	if p.Rate == 0 {
		return "-"
	}
	switch p.Period {
	case 0, time.Second:
		return strconv.Itoa(p.Rate) + "/s"
	case time.Minute:
		return strconv.Itoa(p.Rate) + "/m"
	case time.Hour:
		return strconv.Itoa(p.Rate) + "/h"
	}
	period := p.Period.String()
	for _, zero := range []struct{ unit, tail string }{{"m", "0s"}, {"h", "0m"}} {
		if strings.HasSuffix(period, zero.unit+zero.tail) {
			period = strings.TrimSuffix(period, zero.tail)
		}
	}
	return strconv.Itoa(p.Rate) + "/" + period
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// until is when the API, or the circuit, lets calls begin again.
func until(f *limit.Flow, now time.Time) string {
	switch f.State(now) {
	case limit.Held:
		return f.Until.UTC().Format(time.RFC3339)
	case limit.Tripped:
		return f.Cool.UTC().Format(time.RFC3339)
	}
	return "-"
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
			fmt.Fprintf(c.std.Out, "%s: %s\n", k.Key, describePolicy(now))
		}
		return err
	})
}

func describePolicy(p limit.Policy) string {
	var parts []string
	if p.Paused {
		parts = append(parts, "paused")
	}
	if p.Rate > 0 {
		parts = append(parts, "rate "+rateOf(p))
	}
	if p.Concurrency > 0 {
		parts = append(parts, "concurrency "+strconv.Itoa(p.Concurrency))
	}
	if p.Backlog > 0 {
		parts = append(parts, "backlog "+strconv.Itoa(p.Backlog))
	}
	if len(parts) == 0 {
		return "no limits"
	}
	return strings.Join(parts, ", ")
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
