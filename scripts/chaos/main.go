// Command chaos runs 20,000 calls through separate processes, kills a worker,
// the Step Functions server and the producer with SIGKILL while calls are in
// flight, and counts: accepted, called, completed, duplicated, lost. It exits
// with 1 when anything was lost.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"callfleet/scripts/internal/fleet"
)

const slots = 128

type options struct {
	bin   string
	calls int
	keep  bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "folder of the programs")
	flag.IntVar(&o.calls, "calls", 20_000, "number of calls")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory with the logs")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// kill is one SIGKILL: what was killed and when, to tell whose duplicates are whose.
type kill struct {
	what string
	at   time.Time
}

type chaos struct {
	options
	fleet *fleet.Fleet
	api   *fleet.CountingAPI
	kills []kill
	procs []*fleet.Process
}

func run(ctx context.Context, o options) error {
	f, err := fleet.New(o.bin)
	if err != nil {
		return err
	}
	api, err := fleet.NewCountingAPI(20 * time.Millisecond)
	if err != nil {
		return err
	}
	defer api.Close()
	c := &chaos{options: o, fleet: f, api: api}
	defer c.stop()
	fmt.Printf("chaos: %d calls, 2 workers of %d slots, logs in %s\n", o.calls, slots, f.Dir)
	if err := c.play(ctx); err != nil {
		return err
	}
	return c.report()
}

func (c *chaos) play(ctx context.Context) error {
	if err := fleet.WriteCalls(filepath.Join(c.fleet.Dir, "calls.jsonl"), c.calls); err != nil {
		return err
	}
	server, err := c.fleet.StepFunctions(ctx)
	if err != nil {
		return err
	}
	first, err := c.worker(ctx, "worker-1")
	if err != nil {
		return err
	}
	if _, err := c.worker(ctx, "worker-2"); err != nil {
		return err
	}
	if err := c.putTemplate(); err != nil {
		return err
	}
	producer, err := c.fleet.Producer("run", "calls.jsonl", "--run", "chaos")
	if err != nil {
		return err
	}
	if err := c.killAt(ctx, c.calls/5, producer, first); err != nil {
		return err
	}
	if _, err := c.worker(ctx, "worker-3"); err != nil {
		return err
	}
	if err := c.killAt(ctx, c.calls*2/5, producer, server); err != nil {
		return err
	}
	server, err = c.fleet.StepFunctions(ctx)
	if err != nil {
		return err
	}
	c.procs = append(c.procs, server)
	if err := c.killAt(ctx, c.calls*3/5, producer, producer); err != nil {
		return err
	}
	return c.resume()
}

func (c *chaos) worker(ctx context.Context, name string) (*fleet.Process, error) {
	p, err := c.fleet.Worker(ctx, name, "--slots", fmt.Sprint(slots))
	if err == nil {
		c.procs = append(c.procs, p)
	}
	return p, err
}

func (c *chaos) putTemplate() error {
	path := filepath.Join(c.fleet.Dir, "count.GET.json")
	text := fmt.Sprintf(`{"name":"count","method":"GET","url":"http://%s/call?n={{ n|urlencode }}"}`, c.api.Addr)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write template: %w", err)
	}
	if code, err := c.fleet.Run("template", "put", path); err != nil || code != 0 {
		return fmt.Errorf("put template: exit code %d, %v\n%s", code, err, c.fleet.Log("producer"))
	}
	return nil
}

// killAt waits until the API has seen so many calls, then kills victim.
func (c *chaos) killAt(ctx context.Context, calls int, producer, victim *fleet.Process) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		if seen, _, _ := c.api.Counts(); seen >= calls {
			break
		}
		select {
		case <-tick.C:
		case <-producer.Done():
			return fmt.Errorf("producer ended before call %d:\n%s", calls, c.fleet.Log("producer"))
		case <-ctx.Done():
			seen, _, _ := c.api.Counts()
			return fmt.Errorf("the API saw %d of %d calls in 5 minutes", seen, calls)
		}
	}
	victim.Kill()
	c.kills = append(c.kills, kill{victim.Name, time.Now()})
	seen, _, _ := c.api.Counts()
	fmt.Printf("chaos: killed %s at %d calls\n", victim.Name, seen)
	return nil
}

func (c *chaos) resume() error {
	start := time.Now()
	p, err := c.fleet.Producer("run", "calls.jsonl", "--run", "chaos", "--resume")
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-time.After(10 * time.Minute):
		p.Kill()
		return fmt.Errorf("the resumed run did not end in 10 minutes:\n%s", c.fleet.Log("producer"))
	}
	code, err := p.Wait()
	fmt.Printf("chaos: resumed run ended with exit code %d after %s\n", code, time.Since(start).Round(time.Millisecond))
	if err == nil && code > 1 {
		err = fmt.Errorf("the resumed run failed:\n%s", c.fleet.Log("producer"))
	}
	return err
}

func (c *chaos) report() error {
	t, err := c.fleet.Count(c.calls, c.api)
	if err != nil {
		return err
	}
	t.Print()
	c.explain(t.Again())
	return t.Err()
}

// explain says which kill made each call come again: the first one after the
// call had come before.
func (c *chaos) explain(again []fleet.Repeat) {
	by, none := make([]int, len(c.kills)), 0
	for _, r := range again {
		n := slices.IndexFunc(c.kills, func(k kill) bool { return k.at.After(r.Before) && k.at.Before(r.At) })
		if n < 0 {
			none++
			continue
		}
		by[n]++
	}
	for i, k := range c.kills {
		fmt.Printf("duplicated by the kill of %s: %d\n", k.what, by[i])
	}
	fmt.Printf("duplicated for no reason: %d\n", none)
	fmt.Printf("(a call in flight at a kill, or whose report or answer was lost by it, is made again with the same idempotency key)\n")
}

func (c *chaos) stop() {
	for _, p := range c.procs {
		p.Stop()
	}
	if !c.keep {
		_ = os.RemoveAll(c.fleet.Dir)
	}
}
