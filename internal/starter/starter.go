// Package starter turns requests into executions: it takes them off the
// requests queue, starts one execution each, named after the request, and acks
// them. It is paced, and it holds requests back while tasks pile up, for on the
// requests queue no clock of an execution runs yet.
package starter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/lifecycle"
	"callfleet/internal/outage"
	"callfleet/internal/pace"
	"callfleet/internal/pool"
	"callfleet/internal/queue"
)

// Executions starts executions. Start returns nil when the execution exists
// with the same input, and otherwise errors of package stepfn: ErrNameTaken
// and ErrInvalid condemn the request, ErrThrottled asks to slow down, any other
// is worth another try. Safe for concurrent use.
type Executions interface {
	Start(ctx context.Context, name string, input []byte) error
}

// Options are the settings of a Starter. The zero value of a field is the
// default named with it.
type Options struct {
	// Rate is the most starts per second; 0 is no limit. They are slowed down
	// further while the API throttles.
	Rate float64
	// Concurrency is the number of starts at once. Default 64.
	Concurrency int
	// Batches starts those of requests that are batches; nil: such requests are
	// refused.
	Batches Executions
	// Tasks is the queue whose depth holds the starts back; nil: nothing does.
	Tasks queue.Depth
	// MaxBacklog is the depth of Tasks above which no execution is started.
	// Default 2,000.
	MaxBacklog int
	// DrainTimeout is how long starts under way may go on after Run was told to
	// stop. Default 5 s.
	DrainTimeout time.Duration
	// Results takes the outcome of a request that Step Functions refuses for
	// good, for whoever waits for one; nil: the dead-letter queue alone tells.
	Results queue.Publisher
	// System is the messaging.system of the spans. Default "nats".
	System string
	// Logger defaults to slog.Default.
	Logger *slog.Logger
	// TracerProvider and MeterProvider default to the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

func (o Options) withDefaults() Options {
	o.Concurrency = cmp.Or(o.Concurrency, 64)
	o.System = cmp.Or(o.System, "nats")
	o.MaxBacklog = cmp.Or(o.MaxBacklog, 2000)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	return o
}

// scope names the instrumentation.
const scope = "callfleet/internal/starter"

// Starter starts an execution for each request.
type Starter struct {
	requests   queue.Consumer
	executions Executions
	opts       Options
	log        *slog.Logger
	tracer     trace.Tracer
	stats      *stats

	gate   *gate
	room   room
	pace   *pace.Pace
	outage *outage.Log
	slots  chan struct{}  // one token per free start
	busy   sync.WaitGroup // starts under way
	hands  *pool.Pool
}

// New returns a starter that takes nothing before Run.
func New(requests queue.Consumer, e Executions, o Options) (*Starter, error) {
	if requests == nil || e == nil {
		return nil, errors.New("make starter: a queue and executions are needed")
	}
	if o.Rate < 0 || o.Concurrency < 0 || o.MaxBacklog < 0 || o.DrainTimeout < 0 {
		return nil, errors.New("make starter: options must not be negative")
	}
	o = o.withDefaults()
	s := &Starter{
		requests: requests, executions: e, opts: o, log: o.Logger,
		tracer: o.TracerProvider.Tracer(scope),
		pace:   pace.New(o.Rate),
		outage: outage.New(outage.Options{
			Failing: "executions cannot be started: keeping their requests, and trying again until they can",
			Working: "executions are started again", Quiet: lastPause + 5*time.Second, Logger: o.Logger,
		}),
		slots: make(chan struct{}, o.Concurrency),
		hands: pool.New(pool.Options{Keep: o.Concurrency}),
	}
	for range o.Concurrency {
		s.slots <- struct{}{}
	}
	s.gate = newGate(o, func() int { return cap(s.slots) - len(s.slots) })
	s.room.tasks, s.room.limit = o.Tasks, o.MaxBacklog
	var err error
	if s.stats, err = newStats(o.MeterProvider, s.pace); err != nil {
		return nil, fmt.Errorf("make starter: %w", err)
	}
	return s, nil
}

// Run starts executions until ctx ends, lets the starts under way finish, and
// returns nil. It returns an error when the queue is closed under it. Run may
// be called once.
func (s *Starter) Run(ctx context.Context) error {
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	defer cancelWork()
	err := s.takeIn(ctx, work)
	limit := time.AfterFunc(s.opts.DrainTimeout, cancelWork)
	s.busy.Wait()
	limit.Stop()
	s.hands.Close()
	return err
}

// takeIn receives no more than can be started soon: what is free, what the
// gate lets through, and what the pace allows within a second.
func (s *Starter) takeIn(ctx, work context.Context) error {
	gather := 1
	for ctx.Err() == nil {
		open, err := s.gate.wait(ctx)
		if err != nil {
			return nil
		}
		free := s.acquire(ctx, min(open, s.batch()), gather)
		if free == 0 {
			return nil
		}
		deliveries, err := s.requests.Receive(ctx, free)
		gather = 1
		if len(deliveries) == free {
			gather = max(1, cap(s.slots)/gatherPart) // there is a backlog
		}
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, queue.ErrClosed), errors.Is(err, queue.ErrNotFound):
			return fmt.Errorf("receive requests: %w", err)
		default:
			s.log.WarnContext(ctx, "receiving requests again after an error", "error", err, "pause", receivePause)
			_ = lifecycle.Sleep(ctx, receivePause)
		}
		s.gate.pass(len(deliveries))
		for range free - len(deliveries) {
			s.slots <- struct{}{}
		}
		for _, d := range deliveries {
			s.busy.Add(1)
			s.hands.Go(func() {
				defer s.busy.Done()
				s.handle(work, d)
				s.slots <- struct{}{}
			})
		}
	}
	return nil
}

// batch is how many starts are due within a second, at least one.
func (s *Starter) batch() int {
	if limit := s.pace.Limit(); limit < math.MaxInt32 {
		return max(int(limit), 1)
	}
	return math.MaxInt32
}

// While there is a backlog, a part of the slots is gathered for one receipt,
// though not for long: a receipt for each request would cost the broker as much
// as the request.
const (
	gatherPart = 4
	gatherFor  = 2 * time.Millisecond
)

// acquire waits for one free slot, and a little for gather of them, and takes
// up to most. It returns 0 when ctx ends.
func (s *Starter) acquire(ctx context.Context, most, gather int) int {
	select {
	case <-s.slots:
	case <-ctx.Done():
		return 0
	}
	n := 1
	if n < min(gather, most) {
		late := time.NewTimer(gatherFor)
		defer late.Stop()
		for waiting := true; waiting && n < min(gather, most); {
			select {
			case <-s.slots:
				n++
			case <-late.C:
				waiting = false
			}
		}
	}
	for n < most {
		select {
		case <-s.slots:
			n++
		default:
			return n
		}
	}
	return n
}

const receivePause = time.Second

// Stats returns what the starter has done so far.
func (s *Starter) Stats() Stats { return s.stats.snapshot() }
