// Package fleet starts the programs of bin/ as separate processes on free
// loopback ports, so that a script can kill, restart and count them.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Fleet is one broker and Step Functions server with its workers, on ports and
// a directory of its own.
type Fleet struct {
	Dir    string // data, logs and files of this run
	Bin    string // where the programs are
	api    string
	broker string
	aws    []string // settings of AWS's parts; nil: the broker and the server of this fleet
}

// UseAWS puts the queues and the templates on SQS and DynamoDB, as env tells
// the AWS SDK where, and the state machine too unless ownServer.
func (f *Fleet) UseAWS(env []string, ownServer bool) {
	f.aws = append(env, "CALLFLEET_QUEUE=sqs://calls", "CALLFLEET_TEMPLATES=dynamodb://API_Template_Table", "CALLFLEET_STEPFUNCTIONS=aws:")
	if ownServer {
		f.aws = append(f.aws, "CALLFLEET_STEPFUNCTIONS=http://"+f.api)
	}
}

// New picks free ports and makes a directory.
func New(bin string) (*Fleet, error) {
	dir, err := os.MkdirTemp("", "callfleet-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	abs, err := filepath.Abs(bin)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", bin, err)
	}
	return &Fleet{Dir: dir, Bin: abs, api: freeAddr(), broker: freeAddr()}, nil
}

// API is the URL of the fleet's own Step Functions server.
func (f *Fleet) API() string { return "http://" + f.api }

// Process is one running program.
type Process struct {
	Name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // set before done is closed
}

// StepFunctions starts the server and waits until it is ready. Started again
// after a kill it has the same ports and data.
func (f *Fleet) StepFunctions(ctx context.Context) (*Process, error) {
	p, err := f.start("stepfunctions", "stepfunctions", "--listen", f.api, "--broker-listen", f.broker,
		"--data", filepath.Join(f.Dir, "data"), "--samples", "off")
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx, "http://"+f.api+"/readyz")
}

// Worker starts a worker and waits until it is ready.
func (f *Fleet) Worker(ctx context.Context, name string, args ...string) (*Process, error) {
	health := freeAddr()
	p, err := f.start("worker", name, append([]string{"--listen", health}, args...)...)
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx, "http://"+health+"/readyz")
}

// Producer starts the producer with the given arguments.
func (f *Fleet) Producer(args ...string) (*Process, error) {
	return f.start("producer", "producer", args...)
}

// Run runs the producer to its end and returns its exit code.
func (f *Fleet) Run(args ...string) (int, error) {
	p, err := f.Producer(args...)
	if err != nil {
		return 0, err
	}
	return p.Wait()
}

// Output runs the producer to its end and returns what it printed on standard
// output.
func (f *Fleet) Output(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(f.Bin, "producer"), args...)
	cmd.Dir, cmd.Env = f.Dir, f.env("producer")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run producer %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// env points a program at this fleet's servers, and lets it call APIs of this
// machine.
func (f *Fleet) env(program string) []string {
	env := append(os.Environ(), "CALLFLEET_EGRESS_ALLOW=127.0.0.0/8")
	if f.aws != nil {
		return append(env, f.aws...)
	}
	env = append(env, "CALLFLEET_QUEUE=nats://"+f.broker,
		"CALLFLEET_STEPFUNCTIONS=http://"+f.api, "CALLFLEET_TEMPLATES=nats://"+f.broker)
	if program == "stepfunctions" {
		// It is the broker: an empty URL makes it embed one.
		env = append(env, "CALLFLEET_QUEUE=", "CALLFLEET_STEPFUNCTIONS=", "CALLFLEET_TEMPLATES=")
	}
	return env
}

func (f *Fleet) start(program, name string, args ...string) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(f.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(f.Bin, program), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = f.Dir, log, log
	cmd.Env = f.env(program)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, cmd: cmd, done: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	return p, nil
}

func (p *Process) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %v", p.Name, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready at %s: %w", p.Name, url, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop sends SIGTERM and waits for the end.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
}

// Wait waits for the end and returns the exit code.
func (p *Process) Wait() (int, error) {
	<-p.done
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return 0, fmt.Errorf("run %s: %w", p.Name, p.err)
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// RSS is the process's resident memory in bytes, and the most it ever was
// (/proc/PID/status: VmRSS and VmHWM).
func (p *Process) RSS() (now, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read memory of %s: %w", p.Name, err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			now = kb << 10
		case "VmHWM":
			peak = kb << 10
		}
	}
	return now, peak, nil
}

// Log returns the end of a process's log, for a report.
func (f *Fleet) Log(name string) string {
	text, _ := os.ReadFile(filepath.Join(f.Dir, name+".log"))
	if len(text) > 4000 {
		text = text[len(text)-4000:]
	}
	return string(text)
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // a machine without loopback can run none of this
	}
	defer l.Close()
	return l.Addr().String()
}
