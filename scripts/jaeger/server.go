package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// jaeger is a running Jaeger that keeps its traces in memory.
type jaeger struct {
	query string // base URL of its HTTP API
	otlp  string // where spans are sent to, by gRPC
	log   string
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended
	err   error         // set before done is closed
}

// The flags of all addresses that Jaeger listens on by itself. Zipkin's
// collector has one more, which is off unless it is given.
const (
	flagAdmin         = "admin.http.host-port"
	flagQueryHTTP     = "query.http-server.host-port"
	flagQueryGRPC     = "query.grpc-server.host-port"
	flagCollectorHTTP = "collector.http-server.host-port"
	flagCollectorGRPC = "collector.grpc-server.host-port"
	flagOTLPHTTP      = "collector.otlp.http.host-port"
	flagOTLPGRPC      = "collector.otlp.grpc.host-port"
)

// flags are all of them.
var flags = []string{flagAdmin, flagQueryHTTP, flagQueryGRPC, flagCollectorHTTP, flagCollectorGRPC, flagOTLPHTTP, flagOTLPGRPC}

// startJaeger starts the program on free loopback ports and waits until it is
// ready. Another process may take a port before Jaeger does: then it is started
// once more, on others.
func startJaeger(ctx context.Context, program, dir string) (*jaeger, error) {
	for try := 1; ; try++ {
		addrs, err := freeAddrs(len(flags))
		if err != nil {
			return nil, fmt.Errorf("find free ports: %w", err)
		}
		j, err := launch(program, dir, addrs)
		if err != nil {
			return nil, fmt.Errorf("start Jaeger: %w", err)
		}
		err = j.ready(ctx, "http://"+addrs[slices.Index(flags, flagAdmin)])
		if err == nil {
			return j, nil
		}
		j.stop()
		if text, _ := os.ReadFile(j.log); try == 3 || !strings.Contains(string(text), "address already in use") {
			return nil, fmt.Errorf("%w\n%s", err, text)
		}
	}
}

// freeAddrs returns addresses that nobody listened on a moment ago, no two of
// them the same.
func freeAddrs(n int) (addrs []string, err error) {
	var held []net.Listener
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		addrs = append(addrs, l.Addr().String())
	}
	for _, l := range held {
		err = errors.Join(err, l.Close())
	}
	return addrs, err
}

// launch starts the program; the addresses are those of the flags.
func launch(program, dir string, addrs []string) (*jaeger, error) {
	j := &jaeger{
		query: "http://" + addrs[slices.Index(flags, flagQueryHTTP)], otlp: "http://" + addrs[slices.Index(flags, flagOTLPGRPC)],
		log: filepath.Join(dir, "jaeger.log"), done: make(chan struct{}),
	}
	log, err := os.Create(j.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"--log-level=warn"}
	for i, flag := range flags {
		args = append(args, "--"+flag+"="+addrs[i])
	}
	j.cmd = exec.Command(program, args...)
	j.cmd.Dir, j.cmd.Stdout, j.cmd.Stderr = dir, log, log
	// Jaeger traces itself, too; here are the fleet's traces alone.
	j.cmd.Env = append(os.Environ(), "SPAN_STORAGE_TYPE=memory", "OTEL_TRACES_SAMPLER=always_off")
	if err := j.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { j.err = j.cmd.Wait(); close(j.done) }()
	return j, nil
}

func (j *jaeger) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
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
		case <-j.done:
			return fmt.Errorf("jaeger ended before it was ready: %w", j.err)
		case <-ctx.Done():
			return fmt.Errorf("jaeger was not ready at %s: %w", url, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends Jaeger and waits for that.
func (j *jaeger) stop() {
	_ = j.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-j.done:
	case <-time.After(10 * time.Second):
		_ = j.cmd.Process.Kill()
		<-j.done
	}
}
