package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Host runs services of a Compose project as processes of this machine: with
// their own commands, variables and health checks, in which the names of
// services have become free ports of 127.0.0.1, and volumes directories.
type Host struct {
	Project *types.Project
	// Programs are the files that stand in for what images start, with the
	// arguments that come before those of the service; by service.
	Programs map[string][]string
	// Env are the variables that the images set, by service.
	Env map[string][]string
	// Dir holds the volumes. It is the working directory of every process.
	Dir string
	// Log takes what the processes print.
	Log io.Writer

	ports   map[string]string // "service:port" to the port here
	running []*process
}

type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan error
}

// Use says where a port of a service is that is not started here.
func (h *Host) Use(service, port, addr string) {
	if h.ports == nil {
		h.ports = make(map[string]string)
	}
	_, h.ports[service+":"+port], _ = net.SplitHostPort(addr)
}

// Addr is where a port of a service is on this machine.
func (h *Host) Addr(service, port string) (string, error) {
	key := service + ":" + port
	if h.ports[key] == "" {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		h.Use(service, port, lis.Addr().String())
		_ = lis.Close() // it only had to be free
	}
	return "127.0.0.1:" + h.ports[key], nil
}

var (
	anyInterface = regexp.MustCompile(`\b(?:0\.0\.0\.0|127\.0\.0\.1):([0-9]+)\b`)
	hostPort     = regexp.MustCompile(`\b([a-z][a-z-]*):([0-9]+)\b`)
	portFlag     = regexp.MustCompile(`^(--http_port=)([0-9]+)$`)
)

// here rewrites a text of one service's settings for this machine. The name is
// that under which the service's own ports are known.
func (h *Host) here(name, text string) string {
	swap := func(service, port, was string) string {
		addr, err := h.Addr(service, port)
		if err != nil {
			return was
		}
		return addr
	}
	others := false
	text = hostPort.ReplaceAllStringFunc(text, func(was string) string {
		m := hostPort.FindStringSubmatch(was)
		service := h.named(m[1])
		if service == "" {
			return was
		}
		others = true
		return swap(service, m[2], was)
	})
	if !others && !strings.Contains(text, "://127.") { // what another service's address has become stays
		text = anyInterface.ReplaceAllStringFunc(text, func(was string) string {
			return swap(name, anyInterface.FindStringSubmatch(was)[1], was)
		})
	}
	if m := portFlag.FindStringSubmatch(text); m != nil {
		_, port, _ := net.SplitHostPort(swap(name, m[2], ":"+m[2]))
		return m[1] + port
	}
	return strings.ReplaceAll(text, "/data", filepath.Join(h.Dir, name))
}

// named is the service that a host name of the network leads to, or "".
func (h *Host) named(host string) string {
	for name, s := range h.Project.Services {
		if n := s.Networks["default"]; name == host || n != nil && slices.Contains(n.Aliases, host) {
			return name
		}
	}
	return ""
}

// Command is one more process of a service; the name tells several apart.
func (h *Host) Command(ctx context.Context, service, name string, args ...string) (*exec.Cmd, error) {
	s, program := h.Project.Services[service], h.Programs[service]
	if len(program) == 0 {
		return nil, fmt.Errorf("start %s: no program stands in for it", service)
	}
	if err := os.MkdirAll(filepath.Join(h.Dir, name), 0o755); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if len(args) == 0 {
		args = s.Command
	}
	var all []string
	for _, a := range slices.Concat(program[1:], args) {
		all = append(all, h.here(name, a))
	}
	cmd := exec.CommandContext(ctx, program[0], all...)
	cmd.Dir, cmd.Env = filepath.Join(h.Dir, name), []string{}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	for _, v := range h.Env[service] {
		cmd.Env = append(cmd.Env, h.here(name, v))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Environment)) {
		if value := s.Environment[key]; value != nil {
			cmd.Env = append(cmd.Env, key+"="+h.here(name, *value))
		}
	}
	return cmd, nil
}

// Start starts a process of a service and waits until its health check says
// that it is well.
func (h *Host) Start(ctx context.Context, service, name string) error {
	cmd, err := h.Command(context.WithoutCancel(ctx), service, name) // it ends with Stop
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = h.Log, h.Log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, ended: make(chan error, 1)}
	go func() { p.ended <- cmd.Wait() }()
	h.running = append(h.running, p)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		sick := h.examine(ctx, service, name)
		if sick == nil {
			return nil
		}
		select {
		case <-again.C:
		case err := <-p.ended:
			p.ended <- err // for Stop
			return fmt.Errorf("start %s: it ended: %v", name, err)
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w: %w", name, ctx.Err(), sick)
		}
	}
}

// examine runs the health check of the Compose file.
func (h *Host) examine(ctx context.Context, service, name string) error {
	test := h.Project.Services[service].HealthCheck.Test
	if program := test[1]; program != "wget" {
		cmd, err := h.Command(ctx, service, name, test[2:]...)
		if err != nil {
			return err
		}
		return cmd.Run()
	}
	url := "http://" + h.here(name, strings.TrimPrefix(test[len(test)-1], "http://"))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Stop ends all processes as Docker does, the last one first. It is an error
// when one does not end by itself within its grace period.
func (h *Host) Stop() error {
	var errs []error
	for _, p := range slices.Backward(h.running) {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case err := <-p.ended:
			if err != nil {
				errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
			}
		case <-time.After(stopTime):
			_ = p.cmd.Process.Kill()
			errs = append(errs, fmt.Errorf("stop %s: it runs after %s", p.name, stopTime))
		}
	}
	h.running = nil
	return errors.Join(errs...)
}
