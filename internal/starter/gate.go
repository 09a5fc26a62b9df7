package starter

import (
	"context"
	"log/slog"
	"time"

	"callfleet/internal/lifecycle"
	"callfleet/internal/queue"
)

const (
	// gatePoll is the time between looks at a queue that is too deep.
	gatePoll = 200 * time.Millisecond
	// gateRest is the least time between two looks, however fast the starts.
	gateRest = 20 * time.Millisecond
)

// gate lets as many starts through as the tasks queue has room for. A look at
// its depth buys that many starts, so that looks are rare when workers keep up,
// and the limit is exceeded at most by executions that have started and not
// come to their task yet. It belongs to the goroutine that receives.
type gate struct {
	tasks  queue.Depth // nil: always open
	busy   func() int  // the starts under way
	limit  int
	log    *slog.Logger
	credit int
	looked time.Time
	closed bool // as logged last
}

func newGate(o Options, busy func() int) *gate {
	return &gate{tasks: o.Tasks, busy: busy, limit: o.MaxBacklog, log: o.Logger}
}

// wait blocks until starts may go through, and returns how many.
func (g *gate) wait(ctx context.Context) (int, error) {
	if g.tasks == nil {
		return int(^uint(0) >> 1), ctx.Err()
	}
	for g.credit <= 0 || time.Since(g.looked) > time.Second {
		_ = lifecycle.Sleep(ctx, gateRest-time.Since(g.looked))
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		busy := g.busy() // before the depth: a start that ends in between counts twice
		depth, err := g.tasks.Depth(ctx)
		g.looked = time.Now()
		g.credit = g.limit - depth - busy
		if err != nil {
			g.credit = 0
		}
		g.report(ctx, depth, err)
		if depth >= g.limit || err != nil {
			_ = lifecycle.Sleep(ctx, gatePoll)
		}
	}
	return g.credit, ctx.Err()
}

// pass takes n starts off what was bought.
func (g *gate) pass(n int) { g.credit -= n }

// report logs when the gate begins to hold starts back for an error; a backlog
// is what it is there for.
func (g *gate) report(ctx context.Context, depth int, err error) {
	switch {
	case err != nil && ctx.Err() == nil && !g.closed:
		g.log.WarnContext(ctx, "holding starts back until the depth of the tasks queue is known", "error", err)
	case err == nil && g.credit <= 0 && !g.closed:
		g.log.DebugContext(ctx, "holding starts back until tasks are taken", "depth", depth, "limit", g.limit)
	}
	g.closed = g.credit <= 0
}
