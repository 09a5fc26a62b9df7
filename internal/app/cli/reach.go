package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/fleet"
	"callfleet/internal/app/local"
	"callfleet/internal/claim"
	"callfleet/internal/function"
	"callfleet/internal/httpcall"
	"callfleet/internal/lifecycle"
	"callfleet/internal/template"
)

// opener opens the backend once everything it is made of runs.
type opener func(context.Context) (*backend.Backend, error)

func (c *cli) nothingConfigured() bool {
	return c.cfg.Queue.IsZero() && c.cfg.StepFunctions.IsZero()
}

// joined are the settings, or the servers of this machine where there are none.
func (c *cli) joined() backend.Options {
	return backend.Options{
		Queue:         orDefault(c.cfg.Queue.Secret(), c.queue),
		StepFunctions: orDefault(c.cfg.StepFunctions.Secret(), c.stepFunctions),
		Templates:     c.cfg.Templates.Secret(),
		Blobs:         c.cfg.Blobs.Secret(),
		BlobExpiry:    c.cfg.BlobExpiry,
		StateMachine:  c.cfg.StateMachine,
		BatchMachine:  c.cfg.BatchMachine,
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
func (m machine) serverRuns(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	broker, err := url.Parse(m.queue)
	if err != nil {
		return false
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", broker.Host)
	if err != nil {
		return false
	}
	conn.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.stepFunctions+"/readyz", nil)
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

// embeddedLease is how long a call stays with an embedded worker that is gone.
// The broker goes with the worker and cannot be told that the call is free: the
// next command on the directory has to wait for the lease. It may be shorter
// than the heartbeat clock, for a broker in the same process sees every
// extension, and a redelivered task is probed before it is called.
const embeddedLease = 10 * time.Second

// embed makes the services of a whole fleet in this process.
func (c *cli) embed(ctx context.Context, e embedding) (opener, []lifecycle.Service, error) {
	var stack *local.Stack
	open := func(ctx context.Context) (*backend.Backend, error) {
		conn, err := stack.Connect()
		if err != nil {
			return nil, fmt.Errorf("connect to the embedded broker: %w", err)
		}
		return backend.Open(ctx, backend.Options{
			Embedded: conn, Templates: c.cfg.Templates.Secret(), StepFunctions: stack.URL(), StateMachine: c.cfg.StateMachine, BatchMachine: c.cfg.BatchMachine,
			Blobs: c.cfg.Blobs.Secret(), BlobExpiry: c.cfg.BlobExpiry, Transport: stack.Transport(), Lease: embeddedLease, Logger: c.rt.Logger,
		})
	}
	sample, err := c.sample(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	renderer, caller, member, err := c.callPath(e, open, sample)
	if err != nil {
		sample.Close()
		return nil, nil, err
	}
	stack, services, err := local.New(ctx, local.Options{
		DataDir: c.cfg.Data, Durability: c.cfg.Durability, Templates: c.cfg.Templates.Secret(),
		Listen: "127.0.0.1:0", Sample: sample,
		Renderer: renderer, Caller: caller, Logger: c.rt.Logger,
	})
	if err != nil {
		return nil, nil, err
	}
	c.embedded = true
	if member == nil {
		return open, services, nil
	}
	services = append(services, member.Services()...)
	// The last one: it is said when it is true.
	return open, append(services, lifecycle.Service{Name: "notice", Start: func(context.Context) error {
		c.say("embedded: broker, Step Functions, worker (%d slots), sample API %s; data in %s", e.slots, stack.SampleURL(), c.cfg.Data)
		return nil
	}}), nil
}

// sample binds the sample API's address where there is a worker to call it; nil
// where there is none.
func (c *cli) sample(ctx context.Context, e embedding) (*local.Sample, error) {
	if e.slots == 0 {
		return nil, nil
	}
	return local.ListenSample(ctx, c.samples, c.rt.Logger)
}

// callPath makes a fleet member when there are slots for it, and its renderer
// and caller, or those alone. Of this machine they may call the sample API and
// what the settings allow.
func (c *cli) callPath(e embedding, open opener, sample *local.Sample) (function.Renderer, function.Caller, *fleet.Member, error) {
	var own []string
	if sample != nil {
		own = []string{sample.Addr()}
	}
	policy, err := c.cfg.Egress.Policy(own...)
	if err != nil {
		return nil, nil, nil, err
	}
	if e.slots == 0 {
		claims := claim.New(claim.Options{}) // nothing is called: nothing needs a store
		caller, err := httpcall.New(httpcall.Options{Claims: claims, Egress: policy})
		if err != nil {
			return nil, nil, nil, err
		}
		return template.NewRenderer(template.Options{References: claims}), caller, nil, nil
	}
	member, err := fleet.New(open, fleet.Options{
		Start: true, Call: true, Slots: e.slots, Drain: embeddedDrain, ClaimAbove: c.cfg.ClaimAbove, BlobLimit: c.cfg.BlobLimit, Egress: policy,
		Logger: c.rt.Logger,
	})
	if err != nil {
		return nil, nil, nil, err
	}
	return member.Renderer(), member.Caller(), member, nil
}
