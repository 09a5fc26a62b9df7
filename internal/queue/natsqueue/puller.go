package natsqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"callfleet/internal/queue"
	"callfleet/internal/queue/natsqueue/confirm"
)

// Why a pull brought nothing.
var (
	errReconnected  = errors.New("connection to broker was re-established")
	errBusy         = errors.New("other receivers wait for what there is")
	errConsumerGone = errors.New("consumer is gone from the broker")
)

const (
	// pullExpires is how long one request waits on the server.
	pullExpires = 30 * time.Second
	// pullBeat is how often the server says that a request still waits.
	pullBeat = 5 * time.Second
	// beatGrace is how long a request may stay silent before it counts as lost.
	beatGrace = 2*pullBeat + pullBeat/2
	// restGrace is how long a pull that brought messages waits for word that
	// there are no more.
	restGrace = 100 * time.Millisecond
	// pullBytes bounds what one request brings, unless one message is larger:
	// the server disconnects a client that it gets too far ahead of.
	pullBytes = 32 << 20
)

// arrival is a message with the moment its lease began here.
type arrival struct {
	msg *nats.Msg
	at  time.Time
}

// puller makes pull requests, one at a time, on a reply subject that it keeps.
// Each asks for "up to n messages, whatever there is as soon as there is
// anything" (no_wait with expires), so that a request ends with its first
// messages and the server holds none of it afterwards. A puller whose request
// did not end is drained: what still comes is handed back.
type puller struct {
	nc     *nats.Conn
	broker *Broker
	next   string // subject of pull requests
	prefix string // of reply subjects
	sub    *nats.Subscription
	timer  *time.Timer
	number uint64 // of the request; owned by the goroutine that pulls

	signal chan struct{} // the state below changed

	mu      sync.Mutex
	reply   string    // guarded by mu: of the current request
	want    int       // guarded by mu: messages it may still bring
	arrived []arrival // guarded by mu
	done    bool      // guarded by mu: the request has ended
	cause   error     // guarded by mu: why it ended
	beat    bool      // guarded by mu: the server gave a sign of life
}

func newPuller(c *Consumer) (*puller, error) {
	nc := c.broker.nc
	p := &puller{
		nc:     nc,
		broker: c.broker,
		next:   "$JS.API.CONSUMER.MSG.NEXT." + c.names.stream + "." + c.config.Durable,
		prefix: nc.NewInbox() + ".",
		timer:  time.NewTimer(beatGrace),
		signal: make(chan struct{}, 1),
		done:   true,
	}
	var err error
	if p.sub, err = nc.Subscribe(p.prefix+"*", p.handle); err != nil {
		return nil, border(fmt.Errorf("subscribe: %w", err))
	}
	if err := p.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, border(fmt.Errorf("subscribe: %w", err))
	}
	return p, nil
}

// pull makes one request and returns what it brought. Without messages the
// error says why; it is nil when the request just ran out.
func (p *puller) pull(ctx context.Context, limit int, closed <-chan struct{}) ([]arrival, error) {
	reconnected := p.broker.confirms.Reconnected()
	reply := p.begin(limit)
	if err := p.nc.PublishRequest(p.next, reply, p.request(limit)); err != nil {
		return p.end(err)
	}
	p.timer.Reset(beatGrace)
	for {
		select {
		case <-p.signal:
			p.mu.Lock()
			done, some, beat := p.done, len(p.arrived) > 0, p.beat
			p.beat = false
			p.mu.Unlock()
			switch {
			case done:
				return p.end(nil)
			case some:
				p.timer.Reset(restGrace)
			case beat:
				p.timer.Reset(beatGrace)
			}
		case <-p.timer.C:
			return p.end(confirm.ErrNoAnswer)
		case <-reconnected:
			return p.end(errReconnected)
		case <-closed:
			return p.end(queue.ErrClosed)
		case <-ctx.Done():
			return p.end(ctx.Err())
		}
	}
}

// begin opens the puller for the messages of a new request.
func (p *puller) begin(limit int) (reply string) {
	select {
	case <-p.signal:
	default:
	}
	p.number++
	reply = p.prefix + strconv.FormatUint(p.number, 36)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply, p.want, p.arrived, p.done, p.cause, p.beat = reply, limit, nil, false, nil, false
	return reply
}

// end closes the puller for messages and takes those that came.
func (p *puller) end(cause error) ([]arrival, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cause == nil {
		cause = p.cause
	}
	arrived := p.arrived
	p.want, p.arrived = 0, nil
	return arrived, cause
}

func (p *puller) request(limit int) []byte {
	b := make([]byte, 0, 128)
	b = append(b, `{"no_wait":true,"batch":`...)
	b = strconv.AppendInt(b, int64(limit), 10)
	b = append(b, `,"expires":`...)
	b = strconv.AppendInt(b, int64(pullExpires), 10)
	b = append(b, `,"idle_heartbeat":`...)
	b = strconv.AppendInt(b, int64(pullBeat), 10)
	b = append(b, `,"max_bytes":`...)
	b = strconv.AppendInt(b, max(pullBytes, 2*p.nc.MaxPayload()), 10)
	return append(b, '}')
}

// handle takes a message or a status of the server.
func (p *puller) handle(m *nats.Msg) {
	p.mu.Lock()
	signal, refused := false, false
	switch {
	case m.Reply == "":
		signal = p.status(m)
	case p.want == 0:
		refused = true
	default:
		p.arrived = append(p.arrived, arrival{m, time.Now()})
		if p.want--; p.want == 0 {
			p.done = true
		}
		signal = p.done || len(p.arrived) == 1
	}
	p.mu.Unlock()
	if refused {
		handBack(m)
	}
	if signal {
		select {
		case p.signal <- struct{}{}:
		default:
		}
	}
}

// status takes what the server says about a request: mostly that it ended.
// The caller holds mu.
func (p *puller) status(m *nats.Msg) (signal bool) {
	if m.Subject != p.reply || p.done {
		return false // of an earlier request: a full one is followed by a status, too
	}
	switch m.Header.Get("Status") {
	case "100":
		p.beat = true
		return true
	case "404": // no more messages
	case "408":
		if m.Header.Get("Description") == "Requests Pending" {
			p.cause = errBusy
		}
	case "409":
		// Too many bytes just ends the request; everything else is about the
		// consumer or its server.
		if len(p.arrived) == 0 {
			p.cause = errConsumerGone
		}
	case "503":
		p.cause = errConsumerGone
	default:
		p.cause = fmt.Errorf("broker answers %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
	}
	p.done, p.want = true, 0
	return true
}

// retired tells that the last request may still be alive on the server.
func (p *puller) retired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.done
}

// drain ends the puller: the server learns that nobody listens, and what is
// on its way is handed back by handle.
func (p *puller) drain() {
	p.timer.Stop()
	_ = p.sub.Drain() // fails when the connection is closed, and all is over then
}

// handBack returns a message to the queue at once. When that is lost, the
// lease ends in its own time.
func handBack(m *nats.Msg) {
	_ = m.Respond([]byte("-NAK"))
}
