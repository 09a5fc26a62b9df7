package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/nats-io/nats.go"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/fleet"
	"callfleet/internal/app/local"
	"callfleet/internal/httpcall"
	"callfleet/internal/lifecycle"
	"callfleet/internal/template"
)

// embedding says what a command needs in this process when no server runs.
type embedding struct {
	always bool // even if a server runs
	slots  int  // of a worker; 0 is none
}

// embeddedDrain is the time for calls in flight when an embedding command ends:
// what does not fit is taken up by the next one on the same directory.
const embeddedDrain = 5 * time.Second

// with opens what the settings name, or joins the servers on this machine, or
// embeds them, and runs do. SIGINT and SIGTERM end do's context; do has the
// drain time to return.
func (c *cli) with(ctx context.Context, e embedding, do func(context.Context, *backend.Backend) error) error {
	group, stop := c.rt.NewGroup(embeddedDrain + 15*time.Second)
	defer stop()
	var b *backend.Backend
	open := func(ctx context.Context) (*backend.Backend, error) { return backend.Open(ctx, c.joined()) }
	if e.always || c.nothingConfigured() && !serverRuns(ctx) {
		embedded, services, err := c.embed(ctx, e)
		if err != nil {
			return err
		}
		open = embedded
		group.Add(services...)
	}
	group.Add(
		lifecycle.Service{
			Name:  "backend",
			Start: func(ctx context.Context) (err error) { b, err = open(ctx); return err },
			Stop:  func(context.Context) error { b.Close(); return nil },
		},
		lifecycle.Service{Name: c.cfg.Command, Run: func(ctx context.Context) error { return do(ctx, b) }},
	)
	return unwrapService(group.Run(ctx), c.cfg.Command)
}

// unwrapService takes the command's own name off its error.
func unwrapService(err error, name string) error {
	if err == nil {
		return nil
	}
	if inner := errors.Unwrap(err); inner != nil && err.Error() == name+": "+inner.Error() {
		return inner
	}
	return err
}

func (c *cli) nothingConfigured() bool {
	return c.cfg.Queue.IsZero() && c.cfg.StepFunctions.IsZero()
}

// joined are the settings, or the servers of this machine where there are none.
func (c *cli) joined() backend.Options {
	return backend.Options{
		Queue:         orDefault(c.cfg.Queue.Secret(), backend.DefaultQueue),
		StepFunctions: orDefault(c.cfg.StepFunctions.Secret(), backend.DefaultStepFunctions),
		Templates:     c.cfg.Templates.Secret(),
		StateMachine:  c.cfg.StateMachine,
		Name:          "callfleet-producer",
		Logger:        c.rt.Logger,
	}
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// serverRuns asks the default addresses, both of them, for a server of ours.
func serverRuns(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	broker, err := url.Parse(backend.DefaultQueue)
	if err != nil {
		return false
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", broker.Host)
	if err != nil {
		return false
	}
	conn.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, backend.DefaultStepFunctions+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusServiceUnavailable // starting counts
}

// embed makes the services of a whole fleet in this process.
func (c *cli) embed(ctx context.Context, e embedding) (open func(context.Context) (*backend.Backend, error), services []lifecycle.Service, err error) {
	var stack *local.Stack
	open = func(ctx context.Context) (*backend.Backend, error) {
		conn, err := stack.Connect()
		if err != nil {
			return nil, fmt.Errorf("connect to the embedded broker: %w", err)
		}
		return c.openEmbedded(ctx, stack, conn, e)
	}
	renderer, caller, member, err := c.callPath(e, open)
	if err != nil {
		return nil, nil, err
	}
	stack, services, err = local.New(ctx, local.Options{
		DataDir: c.cfg.Data, Durability: c.cfg.Durability, Templates: c.cfg.Templates.Secret(),
		Listen: "127.0.0.1:0", Samples: e.slots > 0, SampleListen: local.SampleAddress,
		Renderer: renderer, Caller: caller, Logger: c.rt.Logger,
	})
	if err != nil {
		return nil, nil, err
	}
	if member != nil {
		services = append(services, member.Services()...)
	}
	return open, services, nil
}

// callPath makes a fleet member when there are slots for it, and its renderer
// and caller, or those alone.
func (c *cli) callPath(e embedding, open func(context.Context) (*backend.Backend, error)) (local.Renderer, local.Caller, *fleet.Member, error) {
	if e.slots == 0 {
		caller, err := httpcall.New(httpcall.Options{})
		return template.NewRenderer(template.Options{}), caller, nil, err
	}
	member, err := fleet.New(open, fleet.Options{Start: true, Call: true, Slots: e.slots, Drain: embeddedDrain, Logger: c.rt.Logger})
	if err != nil {
		return nil, nil, nil, err
	}
	return member.Renderer(), member.Caller(), member, nil
}

func (c *cli) openEmbedded(ctx context.Context, stack *local.Stack, conn *nats.Conn, e embedding) (*backend.Backend, error) {
	return backend.Open(ctx, backend.Options{
		Embedded: conn, Templates: c.cfg.Templates.Secret(), StepFunctions: stack.URL(), StateMachine: c.cfg.StateMachine,
		Connections: min(e.slots, 1024), Logger: c.rt.Logger,
	})
}
