package main

import (
	"context"
	"fmt"
	"os"
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
