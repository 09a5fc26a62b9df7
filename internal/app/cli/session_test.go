package cli

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/fleet"
	"callfleet/internal/app/local"
	"callfleet/internal/app/program"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/lifecycle"
)

// serve runs the servers of a machine, and a worker, until the test ends.
func serve(t *testing.T) machine {
	t.Helper()
	var stack *local.Stack
	open := func(ctx context.Context) (*backend.Backend, error) {
		return backend.Open(ctx, backend.Options{Queue: stack.BrokerURL(), StepFunctions: stack.URL()})
	}
	member, err := fleet.New(open, fleet.Options{Start: true, Call: true, Slots: 4, Egress: egresstest.Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	quiet := evidence.Logger(t)
	stack, services, err := local.New(t.Context(), local.Options{
		DataDir: evidence.Dir(t), BrokerListen: "127.0.0.1:0", Listen: "127.0.0.1:0", Renderer: member.Renderer(), Caller: member.Caller(),
		Health: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	group := lifecycle.NewGroup(lifecycle.Options{Logger: quiet})
	group.Add(services...)
	group.Add(member.Services()...)
	group.Add(lifecycle.Service{Name: "up", Start: func(context.Context) error { close(up); return nil }})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- group.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	<-up
	return machine{stack.BrokerURL(), stack.URL(), "127.0.0.1:0"}
}

func TestJoinsTheServerOfThisMachine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.machine = serve(t)
	b.template(t)
	b.producer(t, "call", "item", "GET", "-p", "n=1", "--wait").want(t, 0, "using the server on this machine, "+b.stepFunctions, `"statusCode": 200`)
	b.producer(t, "call", "item", "GET", "-p", "n=2").want(t, 0, `"status": "RUNNING"`, "published; \"producer execution show ")
	results := filepath.Join(b.dir, "r.jsonl")
	calls := b.file(t, "calls.jsonl", lines(5))
	b.producer(t, "run", calls, "--results", results, "--run", "joined").want(t, 0, "5 calls in")
	b.producer(t, "execution", "show", "joined-1").want(t, 0, "status     SUCCEEDED")
	if e := b.producer(t, "run", calls, "--results", results+"2", "--embedded"); !strings.Contains(e.errors, "embedded: ") || e.code != 1 {
		t.Errorf("--embedded beside a server: exit code %d, want 1 for a store without the template\n%s", e.code, e.errors)
	}
	// Told where the servers are, it has nothing to say about that.
	if e := b.producer(t, "template", "ls", "--queue", b.queue, "--stepfunctions", b.stepFunctions); e.code != 0 || e.errors != "" {
		t.Errorf("exit code %d:\n%s", e.code, e.errors)
	}
}

func TestOutcomeOfACommand(t *testing.T) {
	t.Parallel()
	var (
		own   = errors.New("own")
		other = errors.New("broker is gone")
		rt    = &program.Runtime{Logger: evidence.Logger(t)}
	)
	for name, row := range map[string]struct {
		ended  *ending
		failed error // of a service that did not start
		group  error
		code   int
		err    error
	}{
		"done":                       {&ending{code: 0, early: true}, nil, nil, 0, nil},
		"some calls failed":          {&ending{code: 1, early: true}, nil, nil, 1, nil},
		"its own error":              {&ending{code: 2, err: own, early: true}, nil, errors.New("service run: own"), 2, own},
		"an error without a code":    {&ending{err: own}, nil, own, 1, own},
		"interrupted":                {&ending{code: 130}, nil, nil, 130, nil},
		"interrupted, then forced":   {&ending{code: 130}, nil, lifecycle.ErrForced, 130, nil},
		"done, an unclean stop":      {&ending{code: 0, early: true}, nil, other, 0, nil},
		"the broker broke down":      {&ending{code: 130}, nil, other, 1, other},
		"forced before it ended":     {nil, nil, lifecycle.ErrForced, 130, lifecycle.ErrForced},
		"stopped before it began":    {nil, nil, nil, 130, nil},
		"a service did not start":    {nil, own, errors.New("service broker: start: own"), 1, own},
		"broken before it had begun": {nil, nil, other, 1, other},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob()
			if row.ended != nil {
				j.ended <- *row.ended
			}
			if row.failed != nil {
				j.failed <- row.failed
			}
			code, err := j.outcome(row.group, rt)
			if code != row.code || !errors.Is(err, row.err) {
				t.Errorf("exit code %d, %v, want %d, %v", code, err, row.code, row.err)
			}
		})
	}
}
