// Command limits runs four workers as separate processes on one flow key of
// 50/s and 8 at once, against an API that measures, with another key beside it,
// and kills a worker that holds a share of the concurrency with SIGKILL. It
// exits with 1 when the fleet was above the limit or far below it, when the
// other key was slowed down, or when the share did not come back in time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"callfleet/scripts/internal/fleet"
)

const (
	workers     = 4
	slots       = 32
	rate        = 50
	concurrency = 8
	measured    = 25 * time.Second // at the limit
	// The share of a dead worker is kept for what is left of its lease, 4 to 6 s,
	// and the second that clocks may differ by; one more is to notice.
	leastLease = 4 * time.Second
	mostLease  = 8 * time.Second
	// otherCalls keep all slots of the fleet busy for ten seconds: what bounds
	// them is the slots, not the machine.
	otherCalls   = 3200
	otherTakes   = 400 * time.Millisecond
	limitedCalls = 6000 // more than are made
	limitedTakes = 100 * time.Millisecond
	heldTakes    = 500 * time.Millisecond // while shares are measured: all permits are in use
)

func main() {
	bin := flag.String("bin", "bin", "folder of the programs")
	keep := flag.Bool("keep", false, "keep the directory with the logs")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	if err := run(ctx, *bin, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "limits:", err)
		os.Exit(1)
	}
}

type limits struct {
	fleet          *fleet.Fleet
	limited, other *api
	workers        []*fleet.Process
	procs          []*fleet.Process // all, to end
	broken         []error          // lines that do not hold
}

func run(ctx context.Context, bin string, keep bool) error {
	f, err := fleet.New(bin)
	if err != nil {
		return err
	}
	l := &limits{fleet: f}
	defer l.end(keep)
	if l.limited, err = newAPI(limitedTakes); err != nil {
		return err
	}
	defer l.limited.close()
	if l.other, err = newAPI(otherTakes); err != nil {
		return err
	}
	defer l.other.close()
	fmt.Printf("limits: %d workers of %d slots, one key of %d/s and %d at once, logs in %s\n", workers, slots, rate, concurrency, f.Dir)
	for _, step := range []func(context.Context) error{l.start, l.beside, l.kill} {
		if err := step(ctx); err != nil {
			return errors.Join(append(l.broken, err)...)
		}
	}
	return errors.Join(l.broken...)
}

// start starts the programs, and tells them the limit.
func (l *limits) start(ctx context.Context) error {
	server, err := l.fleet.StepFunctions(ctx)
	if err != nil {
		return err
	}
	l.procs = append(l.procs, server)
	for i := range workers {
		w, err := l.fleet.Worker(ctx, fmt.Sprintf("worker-%d", i+1), "--slots", fmt.Sprint(slots))
		if err != nil {
			return err
		}
		l.workers, l.procs = append(l.workers, w), append(l.procs, w)
	}
	if err := l.prepare("limited", l.limited, limitedCalls); err != nil {
		return err
	}
	if err := l.prepare("other", l.other, otherCalls); err != nil {
		return err
	}
	return l.producer("flow", "set", l.limited.addr,
		"--rate", fmt.Sprintf("%d/s", rate), "--concurrency", fmt.Sprint(concurrency),
		"--backlog", fmt.Sprint(limitedCalls/workers)) // so that each of them has calls to the end
}

// prepare stores a template of the API, and writes a call file.
func (l *limits) prepare(name string, a *api, calls int) error {
	path := filepath.Join(l.fleet.Dir, name+".GET.json")
	text := fmt.Sprintf(`{"name":%q,"method":"GET","url":"http://%s/call","retry":{"maxAttempts":1}}`, name, a.addr)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write template: %w", err)
	}
	lines := strings.Repeat(fmt.Sprintf(`{"templateName":%q,"method":"GET","params":{}}`+"\n", name), calls)
	if err := os.WriteFile(filepath.Join(l.fleet.Dir, name+".jsonl"), []byte(lines), 0o600); err != nil {
		return fmt.Errorf("write calls: %w", err)
	}
	return l.producer("template", "put", path)
}

// producer runs the producer to its end.
func (l *limits) producer(args ...string) error {
	if code, err := l.fleet.Run(args...); err != nil || code != 0 {
		return fmt.Errorf("run producer %s: exit code %d, %v\n%s", strings.Join(args, " "), code, err, l.fleet.Log("producer"))
	}
	return nil
}

// calls has the producer make the calls of a file, in a run of its own.
func (l *limits) calls(name, run string) (*fleet.Process, error) {
	p, err := l.fleet.Producer("run", name+".jsonl", "--direct", "--run", run, "--results", run+".results")
	if err == nil {
		l.procs = append(l.procs, p)
	}
	return p, err
}

// line prints what was counted; it breaks the run when it does not hold.
func (l *limits) line(holds bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Println(text)
	if !holds {
		l.broken = append(l.broken, errors.New("does not hold: "+text))
	}
}

// beside measures the other key alone, and then both together.
func (l *limits) beside(ctx context.Context) error {
	alone, err := l.otherPace("alone")
	if err != nil {
		return err
	}
	if _, err := l.calls("limited", "limited"); err != nil {
		return err
	}
	if err := l.limited.await("the first calls", 20*time.Second, func(calls, _ int) bool { return calls >= rate }); err != nil {
		return err
	}
	since := time.Now()
	both, err := l.otherPace("beside")
	if err != nil {
		return err
	}
	select {
	case <-time.After(time.Until(since.Add(measured))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	took := time.Since(since).Seconds()
	average := float64(len(l.limited.from(since))) / took
	calls, _, most, _ := l.limited.counts()
	in10 := window(l.limited.from(time.Time{}), 10*time.Second)
	fmt.Printf("calls of the limited key %d\n", calls)
	l.line(in10 <= rate*10*105/100, "most of them within 10 s %d (limit %d)", in10, rate*10*105/100)
	l.line(most <= concurrency, "most of them at once %d (limit %d)", most, concurrency)
	l.line(average >= rate*0.95, "average %.1f/s over %.0f s (at least %.1f)", average, took, rate*0.95)
	l.line(both >= 0.9*alone, "another key %.0f/s alone, %.0f/s beside it: %.0f %% (at least 90)", alone, both, 100*both/alone)
	return nil
}

// otherPace is how fast the calls of the other key are made.
func (l *limits) otherPace(run string) (float64, error) {
	since := time.Now()
	p, err := l.calls("other", run)
	if err != nil {
		return 0, err
	}
	select {
	case <-p.Done():
	case <-time.After(time.Minute):
		p.Kill()
	}
	began := l.other.from(since)
	if code, err := p.Wait(); err != nil || code != 0 || len(began) != otherCalls {
		return 0, fmt.Errorf("%d of %d calls of the other key were made: exit code %d, %v\n%s", len(began), otherCalls, code, err, l.fleet.Log("producer"))
	}
	return pace(began), nil
}

// kill kills a worker while all permits are in use, and waits until those of the
// dead one are others'.
func (l *limits) kill(ctx context.Context) error {
	l.limited.takes.Store(int64(heldTakes))
	full := func(_, now int) bool { return now == concurrency }
	if err := l.limited.await("all permits in use", 20*time.Second, full); err != nil {
		return err
	}
	victim := l.workers[0]
	victim.Kill()
	killed := time.Now()
	select {
	case <-time.After(heldTakes): // what was under way has ended
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	free := l.limited.await("the share of the dead worker", mostLease+5*time.Second, full)
	took := time.Since(killed)
	_, _, most, aborted := l.limited.counts()
	fmt.Printf("killed %s with %d calls under way\n", victim.Name, aborted)
	l.line(free == nil && took >= leastLease && took <= mostLease, "%d at once again after %.1f s (%.0f to %.0f)",
		concurrency, took.Seconds(), leastLease.Seconds(), mostLease.Seconds())
	l.line(most <= concurrency, "most at once in all %d (limit %d)", most, concurrency)
	return free
}

// end ends the processes: what still waits is not of interest.
func (l *limits) end(keep bool) {
	for i := len(l.procs) - 1; i >= 0; i-- {
		l.procs[i].Kill()
	}
	if !keep {
		_ = os.RemoveAll(l.fleet.Dir)
	}
}
