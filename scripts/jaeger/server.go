package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

// startJaeger starts the program on free loopback ports and waits until it is
// ready.
func startJaeger(ctx context.Context, program, dir string) (*jaeger, error) {
	addrs := map[string]string{}
	args := []string{"--log-level=warn"}
	for _, flag := range []string{flagAdmin, flagQueryHTTP, flagQueryGRPC, flagCollectorHTTP, flagCollectorGRPC, flagOTLPHTTP, flagOTLPGRPC} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all are held until each is found, so that no two are the same
		addrs[flag] = l.Addr().String()
		args = append(args, "--"+flag+"="+addrs[flag])
		if err := l.Close(); err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
	}
	j := &jaeger{query: "http://" + addrs[flagQueryHTTP], otlp: "http://" + addrs[flagOTLPGRPC], log: filepath.Join(dir, "jaeger.log")}
	log, err := os.Create(j.log)
	if err != nil {
		return nil, fmt.Errorf("make Jaeger's log: %w", err)
	}
	defer log.Close()
	j.cmd = exec.Command(program, args...)
	j.cmd.Dir, j.cmd.Stdout, j.cmd.Stderr = dir, log, log
	// Jaeger traces itself, too; here are the fleet's traces alone.
	j.cmd.Env = append(os.Environ(), "SPAN_STORAGE_TYPE=memory", "OTEL_TRACES_SAMPLER=always_off")
	if err := j.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start Jaeger: %w", err)
	}
	j.done = make(chan struct{})
	go func() { j.err = j.cmd.Wait(); close(j.done) }()
	if err := j.ready(ctx, "http://"+addrs[flagAdmin]); err != nil {
		j.stop()
		return nil, err
	}
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
			text, _ := os.ReadFile(j.log)
			return fmt.Errorf("jaeger ended before it was ready: %w\n%s", j.err, text)
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
