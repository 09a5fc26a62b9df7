// Command quickstart runs the quickstart as its README tells, and holds it to
// the README: 1,000 results with the outcome of each template, in time; a
// resume that publishes nothing; an interrupted run that, resumed by the
// command it printed, has each result once. It exits with 1 when one is not so.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	calls = 1000
	limit = 20 * time.Second // for the first run
	half  = calls / 2
	// The exit code of a run in which calls failed, as the quickstart means
	// them to, and that of an interrupted one.
	exitFailed      = 1
	exitInterrupted = 130
)

func main() {
	bin := flag.String("bin", "bin", "folder of the programs")
	examples := flag.String("examples", "examples/quickstart", "folder of the quickstart")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := run(ctx, *bin, *examples); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin, examples string) error {
	dir, err := os.MkdirTemp("", "callfleet-quickstart-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	want, err := readExpected(examples)
	if err != nil {
		return err
	}
	binDir, err := filepath.Abs(bin)
	if err != nil {
		return fmt.Errorf("find %s: %w", bin, err)
	}
	q := &quickstart{bin: binDir, dir: dir, file: want.file, want: want}
	for _, step := range []func(context.Context) error{q.first, q.again, q.interrupted} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type quickstart struct {
	bin, dir, file string
	want           *expected
}

// checked prints what holds.
func checked(format string, args ...any) { fmt.Printf("ok   "+format+"\n", args...) }

// first is the run of a newcomer.
func (q *quickstart) first(ctx context.Context) error {
	start := time.Now()
	ended, err := q.producer(ctx, "run", q.file)
	if err != nil {
		return err
	}
	took := time.Since(start)
	switch {
	case ended.code != exitFailed:
		return ended.complain("the first run: exit code %d, want %d", ended.code, exitFailed)
	case !strings.Contains(ended.stderr, "embedded:"):
		return ended.complain("the first run did not embed its servers: is a stepfunctions running on this machine?")
	case took > limit:
		return ended.complain("the first run took %s, more than %s", took, limit)
	}
	checked("the first run ended by itself with exit code %d after %s, within %s", ended.code, took.Round(10*time.Millisecond), limit)
	return q.results("results.jsonl", ended)
}

// again resumes a run that is finished.
func (q *quickstart) again(ctx context.Context) error {
	path := filepath.Join(q.dir, "results.jsonl")
	before, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	ended, err := q.producer(ctx, "run", q.file, "--resume")
	if err != nil {
		return err
	}
	after, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	switch {
	case ended.code != exitFailed:
		return ended.complain("resumed when finished: exit code %d, want %d as the run had", ended.code, exitFailed)
	case !strings.Contains(ended.stdout, "nothing was published"):
		return ended.complain("resumed when finished: it does not say that nothing was published")
	case string(before) != string(after):
		return ended.complain("resumed when finished: the results changed")
	}
	checked("resumed, it says that nothing was published, and the results are the same")
	return q.executions(ctx)
}

// interrupted interrupts a run at about half and goes on as it says.
func (q *quickstart) interrupted(ctx context.Context) error {
	q.dir = filepath.Join(q.dir, "interrupted")
	if err := os.Mkdir(q.dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	// Paced, so that half of it is not published when the signal comes.
	p, err := q.start(ctx, "run", q.file, "--rate", "250")
	if err != nil {
		return err
	}
	if err := p.waitForLines(ctx, filepath.Join(q.dir, "results.jsonl"), half); err != nil {
		return err
	}
	p.interrupt()
	start := time.Now()
	ended, err := p.wait()
	if err != nil {
		return err
	}
	took := time.Since(start)
	some, err := readResults(filepath.Join(q.dir, "results.jsonl"))
	if err != nil {
		return err
	}
	resume := resumeCommand(ended.stdout)
	switch {
	case ended.code != exitInterrupted:
		return ended.complain("interrupted: exit code %d, want %d", ended.code, exitInterrupted)
	case took > 10*time.Second:
		return ended.complain("interrupted: it took %s to end", took)
	case len(some) < half || len(some) == calls:
		return ended.complain("interrupted at %d results: %d when it ended, want some to be missing", half, len(some))
	case resume == "":
		return ended.complain("interrupted: it does not say how to go on")
	}
	checked("interrupted at half, it ended after %s with exit code %d and %d results", took.Round(10*time.Millisecond), ended.code, len(some))
	return q.resumed(ctx, resume)
}

func (q *quickstart) resumed(ctx context.Context, command string) error {
	ended, err := q.shell(ctx, command)
	if err != nil {
		return err
	}
	if ended.code != exitFailed {
		return ended.complain("resumed: exit code %d, want %d", ended.code, exitFailed)
	}
	checked("resumed by %q, it ended with exit code %d", command, ended.code)
	if err := q.results("results.jsonl", ended); err != nil {
		return err
	}
	return q.executions(ctx)
}

// results checks a results file against the README.
func (q *quickstart) results(name string, ended ending) error {
	found, err := readResults(filepath.Join(q.dir, name))
	if err != nil {
		return err
	}
	if err := q.want.check(found); err != nil {
		return ended.complain("%s: %v", name, err)
	}
	return nil
}

// executions checks that each call was one execution.
func (q *quickstart) executions(ctx context.Context) error {
	ended, err := q.producer(ctx, "execution", "ls", "--limit", fmt.Sprint(10*calls))
	if err != nil {
		return err
	}
	n := strings.Count(ended.stdout, "\n") - 1 // the header
	if ended.code != 0 || n != calls {
		return ended.complain("%d executions, want %d: one for each call", n, calls)
	}
	checked("%d executions, one for each call: nothing was published twice", n)
	return nil
}
