package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"callfleet/internal/awstest"
	"callfleet/scripts/internal/fleet"
)

// pass is one run of all kinds of calls, with a fleet and a Jaeger of its own.
type pass struct {
	options
	program string // Jaeger's
	at      place
	kinds   []*kind
	fleet   *fleet.Fleet
	jaeger  *jaeger
	api     *testAPI
	procs   []*fleet.Process
	stops   []func()
	began   time.Time
}

func newPass(o options, program string, at place) *pass {
	return &pass{options: o, program: program, at: at, kinds: kinds(at)}
}

// run makes the calls and checks their traces.
func (p *pass) run(ctx context.Context) error {
	defer p.stop()
	err := p.perform(ctx)
	if p.hold && p.jaeger != nil {
		fmt.Printf("jaeger: %v\njaeger: look at %s; Ctrl-C ends it\n", err, p.jaeger.query)
		<-ctx.Done()
	}
	return err
}

func (p *pass) perform(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := p.start(ctx); err != nil {
		return err
	}
	calls, err := p.calls(ctx)
	if err != nil {
		return err
	}
	if err := p.verify(ctx, calls); err != nil {
		return err
	}
	fmt.Printf("jaeger: %d calls over %s are %d traces, as expected, %s after the start\n",
		len(calls), p.at.name, len(calls), time.Since(p.began).Round(time.Millisecond))
	if !p.at.searchable {
		return nil
	}
	return p.jaeger.checkSearches(ctx, p.doc, calls)
}

// start starts Jaeger, the API to call, and the servers of the fleet.
func (p *pass) start(ctx context.Context) error {
	p.began = time.Now()
	var err error
	if p.fleet, err = fleet.New(p.bin); err != nil {
		return err
	}
	if p.jaeger, err = startJaeger(ctx, p.program, p.fleet.Dir); err != nil {
		return err
	}
	if err := p.jaeger.checkListening(); err != nil {
		return err
	}
	// The programs inherit these.
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": p.jaeger.otlp, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
		"OTEL_TRACES_SAMPLER": "always_on", "OTEL_METRICS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "200",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if p.api, err = startAPI(); err != nil {
		return err
	}
	fmt.Printf("jaeger: Jaeger %s at %s, logs in %s\n", jaegerVersion, p.jaeger.query, p.fleet.Dir)
	if err := p.startAWS(ctx); err != nil || p.at.remote {
		return err
	}
	server, err := p.fleet.StepFunctions(ctx)
	p.add(server)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, p.fleet.Log("stepfunctions"))
	}
	return nil
}

// startAWS starts an emulator of AWS, where the pass is there, and makes what the
// fleet needs.
func (p *pass) startAWS(ctx context.Context) error {
	if !p.at.aws {
		return nil
	}
	emulator, stop, err := awstest.Start(ctx, awstest.KindMoto)
	if err != nil {
		return err
	}
	p.stops = append(p.stops, stop)
	p.fleet.UseAWS(emulator.Env(), !p.at.remote)
	if err := p.produce("setup", "--role", "arn:aws:iam::"+awstest.Account+":role/callfleet"); err != nil || !p.at.remote {
		return err
	}
	events, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		awstest.NewEventBridge(emulator.Config(), machine, emulator.URL+"/"+awstest.Account+"/calls-results").Run(events)
	}()
	p.stops = append(p.stops, func() { cancel(); <-ended })
	return nil
}

// machine is the state machine that setup makes.
const machine = "arn:aws:states:" + awstest.Region + ":" + awstest.Account + ":stateMachine:call-api"

// produce runs the producer to its end, which must be a good one.
func (p *pass) produce(args ...string) error {
	if code, err := p.fleet.Run(args...); err != nil || code != 0 {
		return fmt.Errorf("producer %s: exit code %d, %v\n%s", strings.Join(args, " "), code, err, p.fleet.Log("producer"))
	}
	return nil
}

func (p *pass) add(proc *fleet.Process) {
	if proc != nil {
		p.procs = append(p.procs, proc)
	}
}

// worker starts a worker that hands back soon what it does when it is stopped.
func (p *pass) worker(ctx context.Context, name string) (*fleet.Process, error) {
	w, err := p.fleet.Worker(ctx, name, "--slots", "64", "--drain", "200ms")
	p.add(w)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.fleet.Log(name))
	}
	return w, nil
}

// calls makes all calls and returns them with their results.
func (p *pass) calls(ctx context.Context) ([]*called, error) {
	first, err := p.worker(ctx, "worker-1")
	if err != nil {
		return nil, err
	}
	if err := p.putTemplates(); err != nil {
		return nil, err
	}
	var all []*called
	for _, mode := range []struct {
		name string
		of   func(*kind) bool
		args []string
	}{
		{"workflow", func(k *kind) bool { return !k.direct && k.name != held }, nil},
		{"direct", func(k *kind) bool { return k.direct }, []string{"--direct"}},
	} {
		calls, err := p.writeCalls(mode.name, mode.of)
		if err != nil {
			return nil, err
		}
		if err := p.wait(ctx, mode.name, calls, mode.args...); err != nil {
			return nil, err
		}
		all = append(all, calls...)
	}
	calls, err := p.writeCalls(held, func(k *kind) bool { return k.name == held })
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.wait(ctx, held, calls) }()
	err = p.replace(ctx, first)
	return append(all, calls...), errors.Join(err, <-ended)
}

// replace stops the worker as soon as it is in the middle of a call, and starts
// another.
func (p *pass) replace(ctx context.Context, worker *fleet.Process) error {
	select {
	case <-p.api.held:
	case <-ctx.Done():
		return fmt.Errorf("wait for the call of template %s: %w", held, ctx.Err())
	}
	worker.Stop()
	_, err := p.worker(ctx, "worker-2")
	return err
}

func (p *pass) putTemplates() error {
	for _, k := range p.kinds {
		if k.absent {
			continue
		}
		path := filepath.Join(p.fleet.Dir, k.name+".POST.json")
		if err := os.WriteFile(path, []byte(k.template(p.api.addr)), 0o600); err != nil {
			return fmt.Errorf("write template: %w", err)
		}
		if err := p.produce("template", "put", path); err != nil {
			return err
		}
	}
	return nil
}

// writeCalls writes a call file with the calls of some kinds, mixed.
func (p *pass) writeCalls(name string, of func(*kind) bool) ([]*called, error) {
	var calls []*called
	var lines strings.Builder
	for round, added := 0, true; added; round++ {
		added = false
		for _, k := range p.kinds {
			if of(k) && round < k.calls {
				added = true
				calls = append(calls, &called{kind: k})
				lines.WriteString(k.line(len(calls)))
			}
		}
	}
	path := filepath.Join(p.fleet.Dir, name+".jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		return nil, fmt.Errorf("write calls: %w", err)
	}
	return calls, nil
}

// wait runs a call file to its end and adds the results to the calls.
func (p *pass) wait(ctx context.Context, name string, calls []*called, args ...string) error {
	results := filepath.Join(p.fleet.Dir, name+".results.jsonl")
	producer, err := p.fleet.Producer(append([]string{"run", name + ".jsonl", "--results", results}, args...)...)
	if err != nil {
		return err
	}
	select {
	case <-producer.Done():
	case <-ctx.Done():
		producer.Kill()
		return fmt.Errorf("run of %s.jsonl: %w\n%s", name, ctx.Err(), p.fleet.Log("producer"))
	}
	code, err := producer.Wait()
	if err != nil || code > 1 { // 1: some calls failed
		return fmt.Errorf("run of %s.jsonl: exit code %d, %v\n%s", name, code, err, p.fleet.Log("producer"))
	}
	return readResults(results, calls)
}

func readResults(path string, calls []*called) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	n := 0
	for ; lines.Scan(); n++ {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("read results: %w", err)
		}
		if r.Line < 1 || r.Line > len(calls) || r.TraceID == "" {
			return fmt.Errorf("read results: line %s of %s: want a line number up to %d and a trace id", lines.Bytes(), path, len(calls))
		}
		calls[r.Line-1].result = r
	}
	if n != len(calls) {
		return fmt.Errorf("read results: %d in %s, want %d", n, path, len(calls))
	}
	return lines.Err()
}

// verify waits until Jaeger has every span, takes each trace by its id, and
// compares.
func (p *pass) verify(ctx context.Context, calls []*called) error {
	if err := p.await(ctx, calls); err != nil {
		return err
	}
	check := &checker{tags: wanted(p.at.system), api: p.api.addr, from: p.began.Add(-slack), to: time.Now()}
	var errs []error
	for _, c := range calls {
		byID, err := p.jaeger.traces(ctx, "/api/traces/"+c.result.TraceID, nil)
		if err != nil {
			return err
		}
		if len(byID) == 1 {
			c.trace = byID[0]
		}
		if err := check.check(c); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 3 {
		errs = append(errs[:3], fmt.Errorf("and %d more calls", len(errs)-3))
	}
	return errors.Join(append(errs, p.services(ctx))...)
}

// await asks for all traces until those of the calls have as many spans as they
// must, or no more come.
func (p *pass) await(ctx context.Context, calls []*called) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		traces, err := p.jaeger.traces(ctx, "/api/traces", url.Values{"service": {servicePrefix + "producer"}, "limit": {"1500"}})
		if err != nil {
			return err
		}
		if len(traces) > len(calls) {
			return fmt.Errorf("jaeger has %d traces, want one for each of the %d calls", len(traces), len(calls))
		}
		byID := map[string]*trace{}
		for _, t := range traces {
			byID[t.ID] = t
		}
		complete := true
		for _, c := range calls {
			c.trace = cmp.Or(byID[c.result.TraceID], &trace{ID: c.result.TraceID})
			complete = complete && len(c.trace.Spans) >= strings.Count(c.kind.tree, "\n")
		}
		if complete {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // what is missing is said call by call
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// services wants exactly the fleet's services.
func (p *pass) services(ctx context.Context) error {
	var got []string
	if err := p.jaeger.get(ctx, "/api/services", nil, &got); err != nil {
		return err
	}
	slices.Sort(got)
	want := []string{"callfleet-producer", "callfleet-stepfunctions", "callfleet-worker"}
	if p.at.remote {
		want = slices.Delete(want, 1, 2)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("jaeger has the services %q, want %q", got, want)
	}
	return nil
}

func (p *pass) stop() {
	for _, proc := range p.procs {
		proc.Stop()
	}
	for _, stop := range slices.Backward(p.stops) {
		stop()
	}
	if p.api != nil {
		p.api.close()
	}
	if p.jaeger != nil {
		p.jaeger.stop()
	}
	if p.fleet != nil && !p.keep {
		_ = os.RemoveAll(p.fleet.Dir)
	}
}
