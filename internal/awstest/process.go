package awstest

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// The programs that run the emulators; each ends when its standard input does.
var (
	//go:embed moto_server.py
	motoServer string
	//go:embed fauxqs_server.mjs
	fauxqsServer string
)

// The versions that the tests are written against.
const (
	motoVersion   = "5.2.1"
	fauxqsVersion = "1.9.2"
)

// statusMissing is what moto_server.py ends with where its moto is not installed.
const statusMissing = 3

var errMissing = errors.New("is not installed")

// Option is a setting of an emulator.
type Option func(*options)

type options struct{ lambda string }

// WithLambda gives the functions that moto's state machines invoke to the
// Lambda API at a URL. By itself moto runs them in containers.
func WithLambda(url string) Option { return func(o *options) { o.lambda = url } }

// Start runs an emulator of a kind (KindMoto, KindFauxqs) and returns when it
// answers; ctx ends only the start. The emulator ends by stop, which waits for
// it, or with this process.
func Start(ctx context.Context, kind string, with ...Option) (e Emulator, stop func(), err error) {
	var o options
	for _, option := range with {
		option(&o)
	}
	var p *process
	switch kind {
	case KindMoto:
		p, err = startMoto(ctx, o)
	case KindFauxqs:
		p, err = startFauxqs(ctx)
	default:
		err = errors.New("there is no such kind")
	}
	if err != nil {
		return Emulator{}, nil, fmt.Errorf("start emulator %s: %w", kind, err)
	}
	return Emulator{URL: "http://127.0.0.1:" + p.port}, p.stop, nil
}

// startMoto takes the machine's Python if it has the pinned moto.
func startMoto(ctx context.Context, o options) (*process, error) {
	p, err := launch(ctx, os.TempDir(), "python3", "-c", motoServer, motoVersion, o.lambda)
	if !errors.Is(err, errMissing) {
		return p, err
	}
	dir, err := install(ctx, "moto-"+motoVersion, func(ctx context.Context, dir string) error {
		return installPython(ctx, dir, "moto[server,sqs,dynamodb,stepfunctions]=="+motoVersion)
	})
	if err != nil {
		return nil, err
	}
	return launch(ctx, dir, python(dir), "-c", motoServer, motoVersion, o.lambda)
}

func startFauxqs(ctx context.Context) (*process, error) {
	dir, err := install(ctx, "fauxqs-"+fauxqsVersion, func(ctx context.Context, dir string) error {
		return installNode(ctx, dir, "fauxqs@"+fauxqsVersion)
	})
	if err != nil {
		return nil, err
	}
	return launch(ctx, dir, "node", "--input-type=module", "--eval", fauxqsServer)
}

// process is a child that serves on a port for as long as its input is open.
// No goroutine belongs to it.
type process struct {
	port  string
	cmd   *exec.Cmd
	stdin io.Closer
}

// launch runs a program in dir until it has printed its port.
func launch(ctx context.Context, dir, name string, args ...string) (*process, error) {
	log, err := os.CreateTemp("", "callfleet-emulator-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	if err := os.Remove(log.Name()); err != nil {
		return nil, err
	}
	stdout, childOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdout.Close() }() // the port is all that the child prints
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, childOut, log
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = childOut.Close()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin}
	if p.port, err = readPort(ctx, stdout); err != nil {
		return nil, p.failed(ctx, err, log)
	}
	return p, nil
}

// readPort reads the line with the port; the end of ctx ends it.
func readPort(ctx context.Context, stdout *os.File) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = stdout.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	return strings.TrimSpace(line), err
}

// failed ends a child that has not come up and says why it has not.
func (p *process) failed(ctx context.Context, err error, log *os.File) error {
	p.stop()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if p.cmd.ProcessState != nil {
		err = errors.New(p.cmd.ProcessState.String())
		if p.cmd.ProcessState.ExitCode() == statusMissing {
			err = errMissing
		}
	}
	said := make([]byte, 2000)
	n, _ := log.ReadAt(said, 0)
	return fmt.Errorf("%s: %w: %s", p.cmd.Path, err, strings.TrimSpace(string(said[:n])))
}

// stop ends the child and waits for it. The second time it does nothing.
func (p *process) stop() {
	_ = p.stdin.Close()
	late := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait() // how it ended does not matter
}
