package producer

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"callfleet/internal/evidence"
	"callfleet/internal/queue/natsqueue"
)

// childSpec makes the test binary a producer that can be killed.
const childSpec = "CALLFLEET_TEST_PRODUCER"

type childOptions struct {
	URL, File, Root, Results string
	Resume                   bool
}

func child(spec string) int {
	var c childOptions
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		return 90
	}
	if err := runChild(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 91
	}
	return 0
}

func runChild(c childOptions) error {
	nc, err := nats.Connect(c.URL, natsqueue.ConnectOptions("test")...)
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx := context.Background()
	broker, err := natsqueue.New(ctx, nc, natsqueue.Options{})
	if err != nil {
		return err
	}
	requests, err := broker.Publisher(ctx, "requests")
	if err != nil {
		return err
	}
	p, err := New(Deps{Queue: requests, Encoder: Workflow{}, Feed: feedOf(broker)}, Options{
		File: c.File, Root: c.Root, Results: c.Results, Run: "r", Resume: c.Resume, Batch: 16, Window: 200,
		Log: evidence.LoggerAs("a run that is killed"),
	})
	if err != nil {
		return err
	}
	_, err = p.Run(ctx)
	return err
}

// A producer that is killed with SIGKILL again and again loses nothing and
// writes no result twice.
func TestKillNineLosesNothing(t *testing.T) {
	t.Parallel()
	const calls = 3000
	f := newFleet(t, "127.0.0.1:0")
	o := f.options("calls.jsonl", jsonCalls(calls))
	kills := map[int]chan struct{}{200: make(chan struct{}), 900: make(chan struct{}), 2000: make(chan struct{})}
	f.each = func(n int) {
		if c, ok := kills[n]; ok {
			close(c)
		}
	}
	f.serve()
	start := func(resume bool) *exec.Cmd {
		spec, err := json.Marshal(childOptions{f.server.URL(), o.File, o.Root, o.Results, resume})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childSpec+"="+string(spec))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	for i, n := range []int{200, 900, 2000} {
		cmd := start(i > 0)
		<-kills[n]
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatalf("kill %d: the producer had ended by itself", i+1)
		}
	}
	if err := start(true).Wait(); err != nil {
		t.Fatalf("resumed run: %v", err)
	}
	if got := len(f.results(o)); got != calls {
		t.Errorf("%d results, want %d", got, calls)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.started) != calls || len(f.conflicts) > 0 {
		t.Errorf("%d executions, want %d; %d requests came again with another input", len(f.started), calls, len(f.conflicts))
	}
	t.Logf("%d requests reached the fleet for %d calls", f.seen, calls)
}
