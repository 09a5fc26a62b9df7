package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/fleet"
	"callfleet/internal/awstest"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/lifecycle"
)

// workerSpec makes the test binary a worker that can be killed.
const workerSpec = "CALLFLEET_E2E_WORKER"

type workerOptions struct {
	Queue, Templates, Steps, Blobs, Emulator string
	Slots                                    int
	Lease                                    time.Duration
}

// workerProcess runs a worker until it is killed, or its parent is gone.
func workerProcess(spec string) int {
	var o workerOptions
	if err := json.Unmarshal([]byte(spec), &o); err != nil {
		return 90
	}
	log := evidence.LoggerAs("worker process")
	open := func(ctx context.Context) (*backend.Backend, error) {
		b := backend.Options{Queue: o.Queue, Templates: o.Templates, StepFunctions: o.Steps, Blobs: o.Blobs, Lease: o.Lease, Name: "e2e-worker", Logger: log}
		if o.Emulator != "" {
			cfg := awstest.Emulator{URL: o.Emulator}.Config()
			b.AWS = &cfg
		}
		return backend.Open(ctx, b)
	}
	member, err := fleet.New(open, fleet.Options{Call: true, Slots: o.Slots, Egress: egresstest.Loopback(), Logger: log})
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { // ends with the parent, whose end of the pipe this is
			_, _ = os.Stdin.Read(make([]byte, 1))
			cancel()
		}()
		group := lifecycle.NewGroup(lifecycle.Options{Drain: 10 * time.Second, Logger: log})
		group.Add(member.Services()...)
		err = group.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return 91
	}
	return 0
}

// startWorker starts a worker as a process of its own; kill is SIGKILL, and waits
// for its end. At the latest it ends with the test.
func (s *stack) startWorker(t *testing.T, slots int) (kill func()) {
	t.Helper()
	o := workerOptions{Queue: s.queue, Templates: s.templates, Steps: s.steps.URL(), Blobs: s.blobs, Slots: slots, Lease: s.lease}
	if s.aws != nil {
		o.Emulator = *s.aws.BaseEndpoint
	}
	spec, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), workerSpec+"="+string(spec)), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended does not matter
	}()
	t.Cleanup(func() { _ = stdin.Close(); <-ended })
	return func() {
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Errorf("kill the worker: %v", err)
		}
		<-ended
	}
}
