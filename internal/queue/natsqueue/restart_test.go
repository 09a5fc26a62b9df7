package natsqueue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
)

// childEnv makes the test program a broker on this directory, to be killed.
const childEnv = "NATSQUEUE_TEST_STORE"

// runChild runs the broker if this is the child process. It ends with its
// parent, which holds the other end of its standard input.
func runChild() bool {
	store := os.Getenv(childEnv)
	if store == "" {
		return false
	}
	srv, err := natsembed.Start(natsembed.Options{StoreDir: store, Listen: os.Getenv(childEnv + "_LISTEN")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(srv.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	srv.Shutdown()
	return true
}

// child is a broker in a process of its own.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

// startChild runs a broker process on store.
func startChild(t *testing.T, store, listen string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+store, childEnv+"_LISTEN="+listen)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, stdin: stdin}
	t.Cleanup(c.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("broker process says nothing: %v", err)
	}
	c.url = strings.TrimSpace(line)
	return c
}

// kill ends the process as kill -9 does. It may be called twice.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// dial connects as the fleet's programs do.
func dial(t *testing.T, url string) *nats.Conn {
	t.Helper()
	options := append(natsqueue.ConnectOptions("test"),
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// TestBrokerKilled kills the broker again and again while messages are
// published, received and acked: none is lost, and nothing is restarted but
// the broker.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store := t.TempDir()
	broker := startChild(t, store, "127.0.0.1:0")
	listen := strings.TrimPrefix(broker.url, "nats://")

	nc := dial(t, broker.url)
	b, err := natsqueue.New(ctx, nc, natsqueue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Publisher(ctx, "tasks")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Consumer(ctx, "tasks", natsqueue.ConsumerOptions{Lease: 2 * time.Second, MaxDeliver: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const batches, size, kills = 150, 40, 3
	var wg sync.WaitGroup
	progress := make(chan int, batches)
	wg.Go(func() {
		defer close(progress)
		for i := range batches {
			msgs := make([]queue.Message, size)
			for j := range msgs {
				msgs[j].ID = fmt.Sprintf("m-%d-%d", i, j)
			}
			if err := p.Publish(ctx, msgs...); err != nil {
				t.Errorf("publish: %v", err)
				return
			}
			progress <- i
		}
	})
	received := newTally(batches * size)
	for range 4 {
		wg.Go(func() { received.receive(ctx, t, c) })
	}
	for i := range progress {
		if i%(batches/(kills+1)) == batches/(kills+1)-1 && i < batches-1 {
			broker.kill()
			broker = startChild(t, store, listen)
		}
	}
	select {
	case <-received.all:
	case <-ctx.Done():
		t.Errorf("%d messages received of %d", len(received.seen), batches*size)
	}
	waitEmpty(ctx, t, nc, "callfleet-tasks")
	c.Close()
	wg.Wait()
	t.Logf("%d messages over %d kills: %d settled twice, %d acks not confirmed", batches*size, kills, received.again, received.failed)
}

// tally counts the messages that were received and settled, one way or the
// other: an ack whose answer was lost with the broker may have counted.
type tally struct {
	want int
	all  chan struct{} // closed when all have been settled

	mu     sync.Mutex
	seen   map[string]bool // guarded by mu: by id, whether the ack was confirmed
	again  int             // guarded by mu: acks of a message that was acked before
	failed int             // guarded by mu: acks that were not confirmed
}

func newTally(want int) *tally {
	return &tally{want: want, all: make(chan struct{}), seen: make(map[string]bool)}
}

// receive takes messages until the consumer is closed.
func (y *tally) receive(ctx context.Context, t *testing.T, c queue.Consumer) {
	for {
		ds, err := c.Receive(ctx, 10)
		if err != nil {
			if !errors.Is(err, queue.ErrClosed) {
				t.Errorf("receive: %v", err)
			}
			return
		}
		var wg sync.WaitGroup
		for _, d := range ds {
			wg.Go(func() { y.settle(d.ID, d.Ack(ctx)) })
		}
		wg.Wait()
	}
}

func (y *tally) settle(id string, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	confirmed, before := y.seen[id]
	if confirmed {
		y.again++
	}
	if err != nil {
		y.failed++
	}
	y.seen[id] = confirmed || err == nil
	if !before && len(y.seen) == y.want {
		close(y.all)
	}
}

// waitEmpty waits until nothing is left on the queue, leased or not.
func waitEmpty(ctx context.Context, t *testing.T, nc *nats.Conn, stream string) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for left := uint64(1); left > 0; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d messages are left", left)
		}
		if s, err := js.Stream(ctx, stream); err == nil {
			left = s.CachedInfo().State.Msgs
		}
	}
}

// TestBlockedReceiveSurvivesRestart kills the broker under a Receive that
// waits, and sees it get the first message of the new one at once.
func TestBlockedReceiveSurvivesRestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	store := t.TempDir()
	broker := startChild(t, store, "127.0.0.1:0")
	nc := dial(t, broker.url)
	b, err := natsqueue.New(ctx, nc, natsqueue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Publisher(ctx, "tasks")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Consumer(ctx, "tasks", natsqueue.ConsumerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := p.Publish(ctx, queue.Message{ID: "delayed", Delay: 500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	got := make(chan *queue.Delivery, 1)
	go func() {
		ds, err := c.Receive(ctx, 1)
		if err != nil {
			t.Errorf("receive: %v", err)
			close(got)
			return
		}
		got <- ds[0]
	}()
	broker.kill()
	startChild(t, store, strings.TrimPrefix(broker.url, "nats://"))
	start := time.Now()
	d, ok := <-got // the schedule survived as well
	if !ok {
		return
	}
	if d.ID != "delayed" || time.Since(start) > 5*time.Second {
		t.Errorf("received %q %s after the restart: want the delayed one within moments", d.ID, time.Since(start))
	}
	if err := d.Ack(ctx); err != nil {
		t.Errorf("ack: %v", err)
	}
	if err := p.Publish(ctx, queue.Message{ID: "delayed"}); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Depth(ctx); err != nil || n != 0 {
		t.Errorf("depth %d, %v: want 0, the id is remembered", n, err)
	}
}
