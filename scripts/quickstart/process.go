package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a running producer.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	done           chan struct{}
	err            error // set before done is closed
}

// ending is how a process ended.
type ending struct {
	code           int
	stdout, stderr string
}

// complain is an error with all that the process printed.
func (e ending) complain(format string, args ...any) error {
	return fmt.Errorf(format+"\nstdout:\n%s\nstderr:\n%s", append(args, e.stdout, e.stderr)...)
}

// producer runs the producer in the directory, with every setting at its
// default.
func (q *quickstart) producer(ctx context.Context, args ...string) (ending, error) {
	p, err := q.start(ctx, args...)
	if err != nil {
		return ending{}, err
	}
	return p.wait()
}

func (q *quickstart) start(ctx context.Context, args ...string) (*process, error) {
	return q.launch(exec.CommandContext(ctx, filepath.Join(q.bin, "producer"), args...))
}

// shell runs a command line as a user would type it.
func (q *quickstart) shell(ctx context.Context, line string) (ending, error) {
	p, err := q.launch(exec.CommandContext(ctx, "sh", "-c", line))
	if err != nil {
		return ending{}, err
	}
	return p.wait()
}

func (q *quickstart) launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Dir, cmd.Stdout, cmd.Stderr = q.dir, &p.stdout, &p.stderr
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CALLFLEET_") && !strings.HasPrefix(v, "PATH=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "PATH="+q.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (\"make build\" builds it): %w", filepath.Base(cmd.Path), err)
	}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	return p, nil
}

func (p *process) wait() (ending, error) {
	<-p.done
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return ending{}, fmt.Errorf("run %s: %w", p.cmd, p.err)
	}
	return ending{p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}, nil
}

// interrupt is Ctrl-C.
func (p *process) interrupt() { _ = p.cmd.Process.Signal(syscall.SIGINT) }

// waitForLines waits until a file has so many lines.
func (p *process) waitForLines(ctx context.Context, path string, lines int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Count(text, []byte("\n")) >= lines {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			ended, err := p.wait()
			return errors.Join(err, ended.complain("the run ended before it had %d results", lines))
		case <-ctx.Done():
			return fmt.Errorf("wait for %d results: %w", lines, ctx.Err())
		}
	}
}

// resumeCommand is the command that an interrupted run prints.
func resumeCommand(stdout string) string {
	for line := range strings.Lines(stdout) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "go on with "); ok {
			return strings.TrimSpace(command)
		}
	}
	return ""
}
