// Command onaws runs calls through separate processes whose queues and
// templates are on emulators of SQS and DynamoDB, first with an emulator of Step
// Functions running statemachine/call-api.asl.json, then with our own server. It
// kills a worker with SIGKILL while calls are in flight, and counts: accepted,
// called, completed, duplicated, lost. It exits with 1 when anything was lost.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"callfleet/internal/awstest"
	"callfleet/scripts/internal/fleet"
)

const (
	slots    = 32
	apiDelay = time.Second
	patience = 10 * time.Minute // for a whole run
	role     = "arn:aws:iam::" + awstest.Account + ":role/callfleet"
	machine  = "arn:aws:states:" + awstest.Region + ":" + awstest.Account + ":stateMachine:call-api"
	events   = "/" + awstest.Account + "/calls-results" // path of the queue's URL
)

type options struct {
	bin   string
	calls int
	keep  bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder of the programs")
	flag.IntVar(&o.calls, "calls", 500, "number of calls of each run")
	flag.BoolVar(&o.keep, "keep", false, "keep the directories with the logs")
	flag.Parse()
	for _, ownServer := range []bool{false, true} {
		if err := run(context.Background(), o, ownServer); err != nil {
			fmt.Fprintln(os.Stderr, "onaws:", err)
			os.Exit(1)
		}
	}
}

// play is one run on emulators of its own.
type play struct {
	options
	fleet     *fleet.Fleet
	api       *fleet.CountingAPI
	emulator  awstest.Emulator
	ownServer bool
	procs     []*fleet.Process
	killed    int // calls seen when the worker was killed
}

func run(ctx context.Context, o options, ownServer bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	emulator, stop, err := awstest.Start(ctx, awstest.KindMoto)
	if err != nil {
		return err
	}
	defer stop()
	f, err := fleet.New(o.bin)
	if err != nil {
		return err
	}
	f.UseAWS(emulator.Env(), ownServer)
	api, err := fleet.NewCountingAPI(apiDelay)
	if err != nil {
		return err
	}
	defer api.Close()
	p := &play{options: o, fleet: f, api: api, emulator: emulator, ownServer: ownServer}
	defer p.stop()
	server := "moto's Step Functions"
	if ownServer {
		server = "our Step Functions server"
	}
	fmt.Printf("onaws: %d calls over SQS, DynamoDB and %s, 2 workers of %d slots, logs in %s\n", o.calls, server, slots, f.Dir)
	if err := p.perform(ctx); err != nil {
		return err
	}
	return p.report()
}

func (p *play) perform(ctx context.Context) error {
	if err := p.setUp(ctx); err != nil {
		return err
	}
	first, err := p.worker(ctx, "worker-1")
	if err != nil {
		return err
	}
	if _, err := p.worker(ctx, "worker-2"); err != nil {
		return err
	}
	start := time.Now()
	producer, err := p.fleet.Producer("run", "calls.jsonl", "--run", "onaws")
	if err != nil {
		return err
	}
	if err := p.killInTheMiddle(ctx, producer, first); err != nil {
		return err
	}
	select {
	case <-producer.Done():
	case <-ctx.Done():
		producer.Kill()
		return fmt.Errorf("the run did not end in time:\n%s", p.fleet.Log("producer"))
	}
	code, err := producer.Wait()
	fmt.Printf("onaws: run ended with exit code %d after %s\n", code, time.Since(start).Round(time.Millisecond))
	if err == nil && code > 1 {
		err = fmt.Errorf("the run failed:\n%s", p.fleet.Log("producer"))
	}
	return err
}

// setUp makes queues and table, the state machine, and the template.
func (p *play) setUp(ctx context.Context) error {
	if err := fleet.WriteCalls(filepath.Join(p.fleet.Dir, "calls.jsonl"), p.calls); err != nil {
		return err
	}
	if err := p.produce("setup", "--role", role); err != nil {
		return err
	}
	if p.ownServer {
		server, err := p.fleet.StepFunctions(ctx)
		if err != nil {
			return fmt.Errorf("%w:\n%s", err, p.fleet.Log("stepfunctions"))
		}
		p.procs = append(p.procs, server)
	} else {
		go awstest.NewEventBridge(p.emulator.Config(), machine, p.emulator.URL+events).Run(ctx)
	}
	path := filepath.Join(p.fleet.Dir, "count.GET.json")
	text := fmt.Sprintf(`{"name":"count","method":"GET","url":"http://%s/call?n={{ n|urlencode }}"}`, p.api.Addr)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write template: %w", err)
	}
	return p.produce("template", "put", path)
}

// produce runs a command of the producer that must succeed.
func (p *play) produce(args ...string) error {
	code, err := p.fleet.Run(args...)
	if err != nil || code != 0 {
		return fmt.Errorf("producer %s: exit code %d, %v\n%s", strings.Join(args, " "), code, err, p.fleet.Log("producer"))
	}
	return nil
}

func (p *play) worker(ctx context.Context, name string) (*fleet.Process, error) {
	w, err := p.fleet.Worker(ctx, name, "--slots", fmt.Sprint(slots), "--lease", "20s",
		"--http-timeout", "5s", "--heartbeat-timeout", "10s", "--heartbeat-every", "3s")
	if err != nil {
		return nil, fmt.Errorf("%w:\n%s", err, p.fleet.Log(name))
	}
	p.procs = append(p.procs, w)
	return w, nil
}

// killInTheMiddle kills the victim when half of the calls have come.
func (p *play) killInTheMiddle(ctx context.Context, producer, victim *fleet.Process) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.killed, _, _ = p.api.Counts(); p.killed >= p.calls/2 {
			break
		}
		select {
		case <-tick.C:
		case <-producer.Done():
			return fmt.Errorf("producer ended after %d calls:\n%s", p.killed, p.fleet.Log("producer"))
		case <-ctx.Done():
			return fmt.Errorf("the API saw %d of %d calls in time:\n%s", p.killed, p.calls, p.fleet.Log("worker-2"))
		}
	}
	victim.Kill()
	fmt.Printf("onaws: killed %s at %d calls\n", victim.Name, p.killed)
	return nil
}

func (p *play) report() error {
	t, err := p.fleet.Count(p.calls, p.api)
	if err != nil {
		return err
	}
	t.Print()
	fmt.Printf("(the killed worker had %d slots)\n", slots)
	return t.Err()
}

func (p *play) stop() {
	for _, proc := range p.procs {
		proc.Stop()
	}
	if !p.keep {
		_ = os.RemoveAll(p.fleet.Dir)
	}
}
