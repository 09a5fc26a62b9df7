package producer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/natsembed"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/report"
	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(childSpec); spec != "" {
		os.Exit(child(spec))
	}
	goleak.VerifyTestMain(m)
}

// fleet stands for all that is behind the queue: it starts each request once
// by its name, as StartExecution does, and publishes the outcome.
type fleet struct {
	t      *testing.T
	server *natsembed.Server
	broker *natsqueue.Broker
	dir    string
	answer func(r call.Request) call.Outcome

	mu        sync.Mutex
	started   map[string][]byte // input by execution name; guarded by mu
	conflicts []string          // names that came again with another input; guarded by mu
	seen      int               // requests received; guarded by mu
	each      func(n int)       // called with seen; guarded by mu
}

// newFleet starts a broker; serve starts the fleet on it.
func newFleet(t *testing.T, listen string) *fleet {
	t.Helper()
	quiet := evidence.Logger(t)
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(t), Listen: listen, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	broker, err := natsqueue.New(t.Context(), nc, natsqueue.Options{FeedLease: 500 * time.Millisecond, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return &fleet{
		t: t, server: server, broker: broker, dir: evidence.Dir(t), answer: succeed, started: map[string][]byte{},
	}
}

func succeed(r call.Request) call.Outcome {
	now := time.Now()
	return call.Outcome{
		ID: r.ID, Status: call.StatusSucceeded, Started: now, Stopped: now,
		Output: json.RawMessage(`{"statusCode":200,"headers":{},"body":null,"attempts":1,"durationMs":2}`),
	}
}

// serve runs the fleet until the test ends.
func (f *fleet) serve() {
	f.t.Helper()
	requests, err := f.broker.Consumer(f.t.Context(), "requests", natsqueue.ConsumerOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	feed, err := f.broker.FeedPublisher(f.t.Context(), "results")
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			ds, err := requests.Receive(ctx, 64)
			if err != nil && ctx.Err() == nil {
				f.t.Errorf("receive requests: %v", err)
				return
			}
			for _, d := range ds {
				if err := f.handle(ctx, d, feed); err != nil && ctx.Err() == nil {
					f.t.Errorf("handle request: %v", err)
				}
			}
		}
	}()
	f.t.Cleanup(func() { stop(); <-done; _ = requests.Close() })
}

func (f *fleet) handle(ctx context.Context, d *queue.Delivery, feed queue.Publisher) error {
	r, err := call.DecodeRequest(d.Body)
	if err != nil {
		return err
	}
	f.mu.Lock()
	input, twice := f.started[r.ID]
	if !twice {
		f.started[r.ID] = d.Body
	} else if !bytes.Equal(input, d.Body) {
		f.conflicts = append(f.conflicts, r.ID)
	}
	f.seen++
	if f.each != nil {
		f.each(f.seen)
	}
	f.mu.Unlock()
	if !twice {
		if o := f.answer(r); o.ID != "" {
			body, err := call.EncodeOutcome(o)
			if err != nil {
				return err
			}
			if err := feed.Publish(ctx, queue.Message{ID: o.ID, Group: o.ID, Body: body}); err != nil {
				return err
			}
		}
	}
	return d.Ack(ctx)
}

func (f *fleet) deps() Deps {
	f.t.Helper()
	p, err := f.broker.Publisher(f.t.Context(), "requests")
	if err != nil {
		f.t.Fatal(err)
	}
	return Deps{Queue: p, Encoder: Workflow{}, Feed: feedOf(f.broker)}
}

func feedOf(b *natsqueue.Broker) func(context.Context, string) (queue.Feed, error) {
	return func(ctx context.Context, run string) (queue.Feed, error) {
		return b.FeedConsumer(ctx, "results", run)
	}
}

// options are those of a run of a file with that text.
func (f *fleet) options(name, text string) Options {
	f.t.Helper()
	return optionsIn(f.t, f.dir, name, text)
}

func optionsIn(t testing.TB, dir, name, text string) Options {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{
		File: path, Root: filepath.Join(dir, "runs"), Results: filepath.Join(dir, "results.jsonl"), Run: "r",
		Log: evidence.Logger(t),
	}
}

func (f *fleet) run(d Deps, o Options) (*report.Summary, error) {
	f.t.Helper()
	p, err := New(d, o)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	return p.Run(ctx)
}

// results reads results.jsonl by line; no line may be there twice.
func (f *fleet) results(o Options) map[int64]journal.Result {
	f.t.Helper()
	file, err := os.Open(o.Results)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	byLine := map[int64]journal.Result{}
	ids := map[string]bool{}
	for dec := json.NewDecoder(file); ; {
		var r journal.Result
		if err := dec.Decode(&r); errors.Is(err, io.EOF) {
			return byLine
		} else if err != nil {
			f.t.Fatal(err)
		}
		if _, twice := byLine[r.Line]; twice || ids[r.ID] {
			f.t.Errorf("result of line %d, id %s, is there twice", r.Line, r.ID)
		}
		byLine[r.Line] = r
		if r.ID != "" {
			ids[r.ID] = true
		}
	}
}

// jsonCalls are n good lines.
func jsonCalls(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"templateName":"t","method":"GET","params":{"n":%d}}`+"\n", i+1)
	}
	return b.String()
}
