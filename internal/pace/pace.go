// Package pace is a token bucket for a quota that others use as well: it lets
// requests through at a rate, halves that when the server throttles, and comes
// back to it step by step.
//
// A quota of AWS is one bucket per account and region, and each program of a
// fleet has a bucket of its own here. They need not know of each other: a rate
// that is throttled is halved, and a high one grows by a smaller part of itself
// than a low one, so that all come to equal shares, and their sum to the quota,
// as connections come to share a line. For the same reason a bucket here holds
// only a tenth of a second's requests, although AWS's holds those of three to
// six seconds: what AWS's holds is the reserve of the whole fleet, and takes up
// the sum of all the bursts while the rates find each other.
package pace

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"
)

const (
	// step is the time between two changes of the rate: the requests that were
	// under way at the last one are answered by then.
	step = time.Second
	// growth is what a slowed rate grows by in a step, as a part of the
	// geometric mean of itself and the full one: from half to the full rate in
	// 12 s, from a fiftieth of it in 35 s. To grow by a part of the full one
	// would be fair too, but fifty programs that share a quota would overshoot
	// it by far in each step; to grow by a part of itself would leave a program
	// that came late with a small share for ever.
	growth = 1.0 / 20
	// burst is the part of a second's requests that the bucket holds.
	burst = 1.0 / 10
	// floor is the slowest rate per second, unless a slower one is configured.
	floor = 1
	// leastSeen is the least that a rate without a limit is taken for when it
	// has to come back to what was reached before.
	leastSeen = 100
)

// ErrBusy says that a turn did not come in time.
var ErrBusy = errors.New("the rate is used up")

// Pace is a rate of requests. Its methods are safe for concurrent use.
type Pace struct {
	full float64       // per second, as configured; +Inf is no limit
	turn chan struct{} // full while somebody is at the head of the line

	mu      sync.Mutex
	rate    float64   // guarded by mu: per second, at present
	tokens  float64   // guarded by mu: what the bucket held at filled
	filled  time.Time // guarded by mu
	goal    float64   // guarded by mu: where a slowed rate is full again; 0: it is not slowed
	halved  time.Time // guarded by mu
	grown   time.Time // guarded by mu
	count   int       // guarded by mu: requests since counted
	counted time.Time // guarded by mu
	seen    float64   // guarded by mu: requests per second, as measured last
}

// New returns a rate per second; 0 is no limit until the first throttling.
// Then half of what was measured is the limit, and it ends when twice of that
// was reached again.
func New(perSecond float64) *Pace {
	if perSecond <= 0 {
		perSecond = math.Inf(1)
	}
	now := time.Now()
	return &Pace{
		full: perSecond, rate: perSecond, tokens: capacity(perSecond),
		turn: make(chan struct{}, 1), filled: now, counted: now,
	}
}

// capacity is what the bucket holds at most.
func capacity(rate float64) float64 { return max(1, rate*burst) }

// Limit is the present rate per second, +Inf for none.
func (p *Pace) Limit() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grow(time.Now())
	return p.rate
}

// Wait blocks until one request may be sent, first come, first served, or
// returns ctx's error.
func (p *Pace) Wait(ctx context.Context) error { return p.wait(ctx, -1) }

// WaitFor is Wait for at most d; then it returns ErrBusy, and the place in the
// line is given up.
func (p *Pace) WaitFor(ctx context.Context, d time.Duration) error { return p.wait(ctx, d) }

func (p *Pace) wait(ctx context.Context, most time.Duration) error {
	if p.unlimited(time.Now()) {
		return ctx.Err()
	}
	var late <-chan time.Time
	if most >= 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		late = t.C
	}
	select {
	case p.turn <- struct{}{}:
	default:
		select {
		case p.turn <- struct{}{}:
		case <-late:
			return ErrBusy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-p.turn }()
	return p.atHead(ctx, late)
}

// atHead waits for a token. Only the head of the line looks at the rate, so
// that a change holds for all who wait.
func (p *Pace) atHead(ctx context.Context, late <-chan time.Time) error {
	for ctx.Err() == nil {
		d := p.take(time.Now())
		if d == 0 {
			return nil
		}
		t := time.NewTimer(min(d, step)) // a step later the rate may be another
		select {
		case <-t.C:
		case <-late:
			t.Stop()
			return ErrBusy
		case <-ctx.Done():
			t.Stop()
		}
	}
	return ctx.Err()
}

// unlimited counts a request that needs no token.
func (p *Pace) unlimited(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grow(now)
	if !math.IsInf(p.rate, 1) {
		return false
	}
	p.measure(now)
	p.count++
	return true
}

// measure closes the count of a second that is over; p.mu is held.
func (p *Pace) measure(now time.Time) {
	if d := now.Sub(p.counted); d >= step {
		p.seen = float64(p.count) / d.Seconds()
		p.counted, p.count = now, 0
	}
}

// take takes a token, or returns how long it is until there is one.
func (p *Pace) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grow(now)
	if math.IsInf(p.rate, 1) {
		return 0
	}
	p.fill(now)
	if p.tokens >= 1 {
		p.tokens--
		return 0
	}
	return time.Duration((1-p.tokens)/p.rate*float64(time.Second)) + 1
}

// fill brings the bucket up to now; p.mu is held.
func (p *Pace) fill(now time.Time) {
	p.tokens = min(p.tokens+now.Sub(p.filled).Seconds()*p.rate, capacity(p.rate))
	p.filled = now
}

// grow lets a slowed rate come back, a step at a time; p.mu is held.
func (p *Pace) grow(now time.Time) {
	if p.goal == 0 {
		return
	}
	steps := int(now.Sub(p.grown) / step)
	if steps <= 0 {
		return
	}
	p.fill(now)
	p.grown = p.grown.Add(time.Duration(steps) * step)
	for ; steps > 0 && p.rate < p.goal; steps-- {
		p.rate += growth * math.Sqrt(p.rate*p.goal)
	}
	if p.rate >= p.goal {
		p.rate, p.goal = p.full, 0
		p.count, p.counted = 0, now
	}
}

// Throttled says that the server refused a request for its rate: the rate is
// halved, once for all that were under way.
func (p *Pace) Throttled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.goal != 0 && now.Sub(p.halved) < step {
		return
	}
	p.grow(now)
	p.slow(now)
}

// slow halves the rate; p.mu is held.
func (p *Pace) slow(now time.Time) {
	switch {
	case math.IsInf(p.rate, 1):
		p.rate = p.reached(now)
		p.goal = 2 * max(p.rate, leastSeen)
		p.tokens, p.filled = 0, now
	case p.goal == 0:
		p.goal = p.full
		fallthrough
	default:
		p.fill(now)
	}
	p.rate = max(p.rate/2, min(floor, p.full))
	p.tokens = min(p.tokens, capacity(p.rate))
	p.halved, p.grown = now, now
}

// reached is the rate without a limit: that of the last full second, or that
// of the present one if it is higher; p.mu is held.
func (p *Pace) reached(now time.Time) float64 {
	p.measure(now)
	present := float64(p.count) / max(now.Sub(p.counted).Seconds(), 0.1)
	return max(p.seen, present)
}
