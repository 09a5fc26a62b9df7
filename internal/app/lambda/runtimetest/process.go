package runtimetest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Process is a function that takes its events from a Runtime.
type Process struct {
	cmd    *exec.Cmd
	stderr output
	exited chan struct{} // closed when it has ended
}

// Run starts a function, with the variables that AWS Lambda sets and those in
// env and with no others. It is killed when the test ends, as on AWS.
func (r *Runtime) Run(tb testing.TB, program string, env ...string) *Process {
	tb.Helper()
	p := &Process{cmd: exec.Command(program), exited: make(chan struct{})}
	p.stderr.changed = make(chan struct{})
	p.cmd.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + r.Addr(), "AWS_LAMBDA_FUNCTION_NAME=GenericApiCallLambda", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "_HANDLER=bootstrap", "LAMBDA_TASK_ROOT=/var/task",
	}, env...)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start function: %v", err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ExitCode
		close(p.exited)
	}()
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.exited
		if tb.Failed() {
			tb.Logf("the function's log:\n%s", p.Log())
		}
	})
	return p
}

// Log is what the function has logged so far.
func (p *Process) Log() string {
	text, _ := p.stderr.read()
	return text
}

// WaitLog waits until the log holds the text: it comes through a pipe, and may
// be later than an answer.
func (p *Process) WaitLog(ctx context.Context, text string) error {
	for {
		log, changed := p.stderr.read()
		if strings.Contains(log, text) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %q in the function's log: %w", text, ctx.Err())
		}
	}
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// ExitCode is that of an ended process; -1 after a kill.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// output is a buffer that is read while a process writes to it.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed and replaced at each write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(p)
}

// read also returns what is closed when there is more.
func (o *output) read() (text string, changed <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String(), o.changed
}
