// Package app_test measures the fleet as it is wired: a hand-written loop, the
// direct path and the workflow path do the same calls in one run.
package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/fleet"
	"callfleet/internal/app/local"
	"callfleet/internal/app/program"
	"callfleet/internal/auth"
	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/lifecycle"
	"callfleet/internal/limit"
	"callfleet/internal/natsembed"
	"callfleet/internal/queue"
	"callfleet/internal/secret"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/store"
)

// inFlight is the number of calls at once on every path.
const inFlight = 256

const plainTemplate = `{"name": "order", "method": "POST", "url": "%s/orders/{{ id|urlpath }}", "headers": {"X-Tenant": "{{ tenant }}"},
	"payload": {"id": "{{ id }}", "tenant": "{{ tenant }}", "note": "{{ note }}"}}`

// BenchmarkFleet compares the paths; "limited" is the direct one with a rate, a
// concurrency and a credential, besides the guard that no path is without. Use -benchtime 50000x: the number
// of calls is the benchmark's N.
func BenchmarkFleet(b *testing.B) {
	for _, path := range []struct {
		name string
		run  func(*bench)
	}{{"loop", (*bench).loop}, {"direct", (*bench).direct}, {"limited", (*bench).limited}, {"workflow", (*bench).workflow}} {
		b.Run(path.name, func(b *testing.B) {
			x := newBench(b)
			b.ReportAllocs()
			path.run(x)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			b.ReportMetric(float64(x.used.Microseconds())/float64(b.N), "cpu-µs/call")
		})
	}
}

// bench is one broker, one API and one template.
type bench struct {
	*testing.B
	ctx  context.Context
	item json.RawMessage
	api  *httptest.Server
	used time.Duration // processor time of the measured part
}

// measure runs the clock, of the wall and of the processor, until it is called
// again. On a machine that others use too, processor time is what compares.
func (x *bench) measure() (stop func()) {
	began := processorTime()
	x.ResetTimer()
	return func() {
		x.StopTimer()
		x.used = processorTime() - began
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func newBench(b *testing.B) *bench {
	program.CollectGarbage(program.SaveTime) // as the programs do
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	b.Cleanup(api.Close)
	x := &bench{B: b, ctx: b.Context(), api: api}
	x.template(plainTemplate)
	return x
}

// template is what the calls are made with; %s in it is the API's URL.
func (x *bench) template(plain string) {
	item, err := itemjson.FromPlain(fmt.Appendf(nil, plain, x.api.URL))
	x.must(err)
	x.item = item
}

func (x *bench) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *bench) params(i int) json.RawMessage {
	return fmt.Appendf(nil, `{"id":%d,"tenant":"t-%d","note":"a \"quoted\" note of usual length"}`, i, i%100)
}

func (x *bench) task(i int) call.Task {
	return call.Task{ID: fmt.Sprintf("bench-%d", i), Template: x.item, Params: x.params(i)}
}

func (x *bench) broker() (*natsembed.Server, *nats.Conn) {
	server, err := natsembed.Start(natsembed.Options{StoreDir: evidence.Dir(x), Logger: evidence.Logger(x)})
	x.must(err)
	x.Cleanup(server.Shutdown)
	conn, err := server.Connect()
	x.must(err)
	return server, conn
}

// loop is what an engineer writes by hand: a pull consumer, goroutines, the
// standard HTTP client, an asynchronous publish, an ack.
func (x *bench) loop() {
	_, conn := x.broker()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(4096))
	x.must(err)
	tasks, err := js.CreateStream(x.ctx, jetstream.StreamConfig{Name: "tasks", Subjects: []string{"tasks"}, Retention: jetstream.WorkQueuePolicy})
	x.must(err)
	_, err = js.CreateStream(x.ctx, jetstream.StreamConfig{Name: "results", Subjects: []string{"results"}, Retention: jetstream.WorkQueuePolicy})
	x.must(err)
	for i := range x.N {
		body, err := call.EncodeTask(x.task(i))
		x.must(err)
		_, err = js.Publish(x.ctx, "tasks", body)
		x.must(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: inFlight}
	defer transport.CloseIdleConnections()
	h := &handLoop{bench: x, js: js, client: &http.Client{Transport: transport}, renderer: template.NewRenderer(template.Options{})}
	measured := x.measure()
	stop := h.consume(tasks)
	x.await(tasks)
	measured()
	stop()
}

type handLoop struct {
	*bench
	js       jetstream.JetStream
	client   *http.Client
	renderer *template.Renderer
}

func (h *handLoop) consume(tasks jetstream.Stream) (stop func()) {
	consumer, err := tasks.CreateConsumer(h.ctx, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1})
	h.must(err)
	messages := make(chan jetstream.Msg, inFlight)
	consuming, err := consumer.Consume(func(m jetstream.Msg) { messages <- m })
	h.must(err)
	var workers sync.WaitGroup
	for range inFlight {
		workers.Go(func() {
			for m := range messages {
				if err := h.handle(m); err != nil {
					h.Error(err)
				}
			}
		})
	}
	return func() {
		consuming.Drain()
		<-consuming.Closed()
		close(messages)
		workers.Wait()
	}
}

func (h *handLoop) handle(m jetstream.Msg) error {
	task, err := call.DecodeTask(m.Data())
	if err != nil {
		return err
	}
	rendered, err := h.renderer.Render(h.ctx, task.Template, task.Params)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(h.ctx, rendered.Method, rendered.URL, bytes.NewReader(rendered.Body))
	if err != nil {
		return err
	}
	for _, header := range rendered.Header {
		req.Header.Set(header.Name, header.Value)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	result, err := json.Marshal(call.Result{StatusCode: resp.StatusCode, Body: body})
	if err != nil {
		return err
	}
	published, err := h.js.PublishAsync("results", result)
	if err != nil {
		return err
	}
	select { // the task may go only when its result is on disk
	case <-published.Ok():
		return m.Ack()
	case err := <-published.Err():
		return err
	}
}

// direct is a fleet member that takes tasks without a token.
func (x *bench) direct() {
	x.fleet(fleet.Options{}, limit.Policy{})
}

// limited is direct with limits that are never reached, and a token from a
// secret in every call.
func (x *bench) limited() {
	const token = `"auth": {"type": "bearer", "token": "secret://env/CALLFLEET_SECRET_BENCH"}`
	x.template(strings.Replace(plainTemplate, `"payload"`, token+`, "payload"`, 1))
	resolver, err := secret.NewResolver(secret.Options{Sources: map[string]secret.Source{
		secret.Env: secret.Environment(func(string) string { return "token" }),
	}})
	x.must(err)
	x.fleet(fleet.Options{Auth: auth.New(auth.Options{Secrets: resolver})}, limit.Policy{Rate: 1_000_000, Concurrency: 2 * inFlight})
}

// fleet has one member make the calls, with the policy for the API's key.
func (x *bench) fleet(o fleet.Options, p limit.Policy) {
	_, conn := x.broker()
	b, err := backend.Open(x.ctx, backend.Options{Embedded: conn})
	x.must(err)
	defer b.Close()
	if !p.IsZero() {
		flows, err := b.Flows(x.ctx)
		x.must(err)
		x.must(limit.Set(x.ctx, flows, limit.HostKey(x.api.URL), p))
	}
	x.publish(b, backend.Tasks, func(i int) []byte {
		body, err := call.EncodeTask(x.task(i))
		x.must(err)
		return body
	})
	_, err = b.ConsumeResults(x.ctx, "bench") // so that they are kept, as the loop's are
	x.must(err)
	js, err := jetstream.New(conn)
	x.must(err)
	tasks, err := js.Stream(x.ctx, "callfleet-"+backend.Tasks)
	x.must(err)
	open := func(context.Context) (*backend.Backend, error) {
		return backend.Open(x.ctx, backend.Options{Embedded: conn})
	}
	o.Call, o.Slots, o.Egress = true, inFlight, egresstest.Loopback()
	member, err := fleet.New(open, o)
	x.must(err)
	measured := x.measure()
	stop := x.start(member.Services())
	x.await(tasks)
	measured()
	stop()
}

// await waits until every task is done and off the queue.
func (x *bench) await(tasks jetstream.Stream) {
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		info, err := tasks.Info(x.ctx)
		x.must(err)
		if info.State.Msgs == 0 {
			return
		}
		if x.Elapsed() > 5*time.Minute {
			x.Fatalf("%d of %d tasks are left", info.State.Msgs, x.N)
		}
	}
}

// workflow is everything: starter, Step Functions server, worker.
func (x *bench) workflow() {
	caller, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback()})
	x.must(err)
	defer caller.Close()
	stack, services, err := local.New(x.ctx, local.Options{
		DataDir: evidence.Dir(x), Listen: "127.0.0.1:0", Caller: caller, Renderer: template.NewRenderer(template.Options{}),
		Logger: evidence.Logger(x),
	})
	x.must(err)
	stopStack := x.start(services)
	defer stopStack()
	conn, err := stack.Connect()
	x.must(err)
	open := func(ctx context.Context) (*backend.Backend, error) {
		return backend.Open(ctx, backend.Options{Embedded: conn, StepFunctions: stack.URL(), Transport: stack.Transport()})
	}
	b, err := open(x.ctx)
	x.must(err)
	defer b.Close()
	_, err = b.Templates.Put(x.ctx, store.Item{Key: store.Key{Name: "order", Method: "POST"}, Attributes: x.item}, store.Always())
	x.must(err)
	x.publish(b, backend.Requests, func(i int) []byte {
		body, err := call.EncodeRequest(call.Request{ID: fmt.Sprintf("bench-%d", i), Template: "order", Method: "POST", Params: x.params(i)})
		x.must(err)
		return body
	})
	done := x.countResults(b)
	member, err := fleet.New(open, fleet.Options{Start: true, Call: true, Slots: inFlight, Egress: egresstest.Loopback()})
	x.must(err)
	measured := x.measure()
	stop := x.start(member.Services())
	<-done
	measured()
	stop()
}

func (x *bench) publish(b *backend.Backend, name string, body func(i int) []byte) {
	publisher, err := b.Publisher(x.ctx, name)
	x.must(err)
	const batch = 256
	var messages []queue.Message
	for i := range x.N {
		messages = append(messages, queue.Message{ID: fmt.Sprintf("bench-%d", i), Body: body(i)})
		if len(messages) == batch || i == x.N-1 {
			x.must(publisher.Publish(x.ctx, messages...))
			messages = messages[:0]
		}
	}
}

// countResults consumes the outcomes of the run and closes the channel after
// N, all of which must have succeeded.
func (x *bench) countResults(b *backend.Backend) <-chan struct{} {
	consumer, err := b.ConsumeResults(x.ctx, "bench")
	x.must(err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; n < x.N; {
			deliveries, err := consumer.Receive(x.ctx, 256)
			if err != nil {
				x.Error(err)
				return
			}
			var acks sync.WaitGroup
			for _, d := range deliveries {
				if !bytes.Contains(d.Body, []byte(`"status":"SUCCEEDED"`)) {
					x.Errorf("outcome %s", d.Body)
				}
				n++
				acks.Go(func() { _ = d.Ack(x.ctx) })
			}
			acks.Wait()
		}
	}()
	return done
}

// start runs services as a group until the returned function is called.
func (x *bench) start(services []lifecycle.Service) (stop func()) {
	group := lifecycle.NewGroup(lifecycle.Options{Drain: 10 * time.Second, Logger: evidence.Logger(x)})
	group.Add(services...)
	ready := make(chan struct{})
	group.Add(lifecycle.Service{Name: "ready", Start: func(context.Context) error { close(ready); return nil }})
	ctx, cancel := context.WithCancel(x.ctx)
	ended := make(chan error, 1)
	go func() { ended <- group.Run(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		x.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			x.Error(err)
		}
	}
}
