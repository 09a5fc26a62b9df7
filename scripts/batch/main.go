// Command batch makes the same calls once with an execution for each and once
// with batches, and then once more with batches and a worker that is killed with
// SIGKILL in the middle. It reports time, executions, state transitions and
// history events, and what was called again. It exits with 1 when anything was
// lost, or more was called again than there were slots.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"callfleet/scripts/internal/fleet"
)

type options struct {
	bin                 string
	calls, batch, slots int
	delay               time.Duration
	keep                bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder of the programs")
	flag.IntVar(&o.calls, "calls", 10_000, "number of calls of each run")
	flag.IntVar(&o.batch, "batch", 100, "calls of an execution")
	flag.IntVar(&o.slots, "slots", 256, "slots of the worker")
	flag.DurationVar(&o.delay, "delay", 20*time.Millisecond, "how long the API takes")
	flag.BoolVar(&o.keep, "keep", false, "keep the directories with the logs")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "batch:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	fmt.Printf("batch: %d calls that take %s each, a worker of %d slots\n", o.calls, o.delay, o.slots)
	single, err := measure(ctx, o, pass{name: "one by one", share: 1})
	if err != nil {
		return err
	}
	batched, err := measure(ctx, o, pass{name: fmt.Sprintf("--batch %d", o.batch), share: o.batch})
	if err != nil {
		return err
	}
	fmt.Printf("batches: %.1f times fewer transitions, %.1f times fewer events, %.2f times as fast\n",
		single.transitions/batched.transitions, single.events/batched.events, single.took.Seconds()/batched.took.Seconds())
	_, err = measure(ctx, o, pass{name: "worker killed", share: o.batch, kill: true})
	return err
}

// pass is one run of all calls.
type pass struct {
	name  string
	share int // calls of an execution
	kill  bool
}

// stage is the fleet of a pass.
type stage struct {
	options
	pass
	fleet *fleet.Fleet
	api   *fleet.CountingAPI
	procs []*fleet.Process
}

// measure runs a pass on a fleet of its own, and prints its figures.
func measure(ctx context.Context, o options, p pass) (figures, error) {
	f, err := fleet.New(o.bin)
	if err != nil {
		return figures{}, err
	}
	api, err := fleet.NewCountingAPI(o.delay)
	if err != nil {
		return figures{}, err
	}
	defer api.Close()
	s := &stage{options: o, pass: p, fleet: f, api: api}
	defer s.stop()
	if err := s.prepare(ctx); err != nil {
		return figures{}, err
	}
	took, err := s.play(ctx)
	if err != nil {
		return figures{}, err
	}
	return s.report(ctx, took)
}

func (s *stage) prepare(ctx context.Context) error {
	if err := fleet.WriteCalls(filepath.Join(s.fleet.Dir, "calls.jsonl"), s.calls); err != nil {
		return err
	}
	server, err := s.fleet.StepFunctions(ctx)
	if err != nil {
		return err
	}
	s.procs = append(s.procs, server)
	if _, err := s.worker(ctx, "worker-1"); err != nil {
		return err
	}
	path := filepath.Join(s.fleet.Dir, "count.GET.json")
	text := fmt.Sprintf(`{"name":"count","method":"GET","url":"http://%s/call?n={{ n|urlencode }}"}`, s.api.Addr)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write template: %w", err)
	}
	if code, err := s.fleet.Run("template", "put", path); err != nil || code != 0 {
		return fmt.Errorf("put template: exit code %d, %v\n%s", code, err, s.fleet.Log("producer"))
	}
	return nil
}

// short clocks, for the batches of a killed worker come again when its lease ends.
var short = []string{"--lease", "15s", "--heartbeat-timeout", "12s", "--http-timeout", "10s", "--heartbeat-every", "3s"}

func (s *stage) worker(ctx context.Context, name string) (*fleet.Process, error) {
	args := []string{"--slots", fmt.Sprint(s.slots)}
	if s.kill {
		args = append(args, short...)
	}
	p, err := s.fleet.Worker(ctx, name, args...)
	if err == nil {
		s.procs = append(s.procs, p)
	}
	return p, err
}

// play runs the calls, and kills the worker at half of them if it is to.
func (s *stage) play(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	p, err := s.fleet.Producer("run", "calls.jsonl", "--run", "batch", "--batch", fmt.Sprint(s.share))
	if err != nil {
		return 0, err
	}
	defer p.Kill()
	if s.kill {
		if err := s.killWorker(ctx, p); err != nil {
			return 0, err
		}
	}
	select {
	case <-p.Done():
	case <-time.After(15 * time.Minute):
		return 0, fmt.Errorf("%s: the run did not end in 15 minutes:\n%s", s.name, s.fleet.Log("producer"))
	}
	if code, err := p.Wait(); err != nil || code != 0 {
		return 0, fmt.Errorf("%s: exit code %d, %v\n%s", s.name, code, err, s.fleet.Log("producer"))
	}
	return time.Since(began), nil
}

func (s *stage) killWorker(ctx context.Context, producer *fleet.Process) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for seen := 0; seen < s.calls/2; {
		select {
		case <-tick.C:
			seen, _, _ = s.api.Counts()
		case <-producer.Done():
			return fmt.Errorf("%s: the run ended before the kill:\n%s", s.name, s.fleet.Log("producer"))
		}
	}
	s.procs[1].Kill()
	_, err := s.worker(ctx, "worker-2")
	return err
}

func (s *stage) stop() {
	for _, p := range s.procs {
		p.Stop()
	}
	if !s.keep {
		_ = os.RemoveAll(s.fleet.Dir)
	}
}
