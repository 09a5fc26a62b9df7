// Package httpcall makes one rendered HTTP request come to an answer or to a
// named failure: connections kept alive, timeouts for each phase, retries with
// full jitter inside the budget of the task, Retry-After honoured in full,
// answers bounded in size.
package httpcall

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"callfleet/internal/auth"
	"callfleet/internal/blob"
	"callfleet/internal/call"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/httpcall/h1"
)

// Options are the settings of a Client. The zero value is a client with the
// defaults named here.
type Options struct {
	// Slots is the number of calls that run at once: as many idle connections
	// are kept for each host. Default 256.
	Slots int
	// Timeout bounds one attempt, from dial to the last byte of the body, when
	// the request has no timeout of its own. Default 30 s.
	Timeout time.Duration
	// DialTimeout, TLSTimeout and HeaderTimeout bound the phases of an attempt.
	// Defaults 10 s, 10 s, and none but Timeout.
	DialTimeout, TLSTimeout, HeaderTimeout time.Duration
	// MaxAttempts counts all attempts of a request that names no policy of its
	// own: 1 is no retry. Default 4.
	MaxAttempts int
	// BaseDelay and MaxDelay bound the pause after the first attempt and after
	// any: the pause is random between zero and the bound, which doubles.
	// Defaults 500 ms and 30 s.
	BaseDelay, MaxDelay time.Duration
	// MaxBody is the largest body that a result holds, in bytes after
	// decompression. Default 200 KiB.
	MaxBody int
	// Claims keeps larger bodies, and has those of requests; nil: a larger body
	// is a failure.
	Claims Claims
	// MaxClaim is the largest body that is kept there. Default 100 MB.
	MaxClaim int64
	// MaxSelect is the largest answer that a template selects from, in bytes
	// after decompression. Default 8 MiB.
	MaxSelect int
	// MaxRedirects is how many redirects one attempt follows. Default 10.
	MaxRedirects int
	// TLS is the client's configuration; nil is Go's own. Below TLS 1.2 it does
	// not go.
	TLS *tls.Config
	// Egress says where calls and redirects may go; nil is egress.New of zero
	// options: to public addresses alone.
	Egress *egress.Policy
	// Resolver looks up hosts; nil is net.DefaultResolver.
	Resolver *net.Resolver
	// Auth gives requests their secrets and credentials; nil fails those that
	// need any. It outlives the client, which does not close it.
	Auth *auth.Authority
	// UserAgent is sent when the template names none. Default "callfleet".
	UserAgent string
	// TracerProvider and MeterProvider default to the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Client makes calls. Its methods are safe for concurrent use.
type Client struct {
	opts       Options
	http       *h1.Transport
	strange    *h1.Transport // for redirects by public servers to elsewhere
	identified identified    // transports with client certificates
	observe    *observer
	selecting  *semaphore.Weighted // bytes of answers that are being selected from
}

// New returns a client; it opens no connection.
func New(o Options) (*Client, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	obs, err := newObserver(o)
	if err != nil {
		return nil, fmt.Errorf("make http client: %w", err)
	}
	return &Client{
		opts:    o,
		observe: obs,
		http:    newTransport(o, o.Egress),
		strange: newTransport(o, o.Egress.Redirected()),

		selecting: semaphore.NewWeighted(maxSelecting),
	}, nil
}

// Close drops the idle connections.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.strange.CloseIdleConnections()
	c.identified.close()
}

// Do sends the request until it has an answer that is final, and returns the
// answer whatever its status. 429, 500, 502, 503, 504, a 403 that says until when
// it limits, and transport errors are tried again as often as the policy and the deadline of ctx, the budget of
// the task, allow; an answer after which no attempt is left is the result.
//
// The error is a *call.Failure, or the cause of ctx when ctx was cancelled
// before its deadline. idempotencyKey is sent on every attempt unless the
// template sets that header itself.
func (c *Client) Do(ctx context.Context, r call.Rendered, idempotencyKey string) (call.Result, error) {
	return c.DoInTurn(ctx, r, idempotencyKey, nil)
}

// DoInTurn is Do for calls that share limits: each attempt begins when turns
// lets it. Answers that turns holds calls back for are no attempts.
// An error of turns that is no *call.Failure is returned as it is. Without
// turns it is Do.
func (c *Client) DoInTurn(ctx context.Context, r call.Rendered, idempotencyKey string, turns call.Turns) (call.Result, error) {
	p, err := c.plan(r, idempotencyKey)
	if err != nil {
		return call.Result{}, err
	}
	if p.sealed != nil && c.opts.Auth == nil {
		return call.Result{}, p.failure(&fault{name: call.AuthFailed, reason: "the template has auth or secrets, and this program has none to give"})
	}
	if c.noPlace(p) {
		return call.Result{}, p.failure(&fault{name: call.BlobUnavailable, reason: "the template keeps the body (response.body is ref), and " + blob.ErrNone.Error()})
	}
	if turns == nil {
		turns = atOnce{}
	}
	if err := turns.Begin(ctx, time.Time{}); err != nil {
		return call.Result{}, err
	}
	for {
		p.attempts++
		rep, flt := c.attempt(ctx, p)
		if turns.End(attemptOf(rep, flt)) {
			p.held++
		}
		if flt == nil && c.renew(ctx, p, rep) {
			if err := turns.Begin(ctx, time.Time{}); err != nil {
				return p.notBegun(err, pause{}, rep, nil)
			}
			continue
		}
		if flt == nil && !rep.retriable() {
			return p.end(rep)
		}
		if err := interrupted(ctx); err != nil {
			return call.Result{}, err
		}
		wait, more := p.next(rep, flt)
		switch {
		case !more && flt == nil:
			return p.end(rep)
		case !more:
			return call.Result{}, p.failure(flt)
		case !wait.fits(ctx):
			return p.outOfTime(wait, rep, flt)
		}
		p.retrying(ctx, wait, rep, flt)
		if err := turns.Begin(ctx, time.Now().Add(wait.length)); err != nil {
			return p.notBegun(err, wait, rep, flt)
		}
	}
}

// interrupted is the cause of a ctx that somebody cancelled; a deadline that
// passed is no interruption.
func interrupted(ctx context.Context) error {
	if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return context.Cause(ctx)
}
