package starter

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// paceStep is the time between two changes of the rate: the starts that
	// were under way at the last one are through by then.
	paceStep = time.Second
	// paceGrowth is how the rate comes back after it was halved.
	paceGrowth = 1.25
	// paceFloor is the slowest rate per second.
	paceFloor = 1
)

// pace is a rate limit that is halved when the API throttles, and recovers.
type pace struct {
	limiter *rate.Limiter
	full    rate.Limit // as configured; rate.Inf is none

	mu      sync.Mutex
	changed time.Time  // guarded by mu
	counted time.Time  // guarded by mu: the begin of the count
	count   int        // guarded by mu: starts since counted
	seen    rate.Limit // guarded by mu: starts per second, as measured last
	slowed  bool       // guarded by mu
}

func newPace(full rate.Limit, now time.Time) *pace {
	if full == 0 {
		full = rate.Inf
	}
	return &pace{limiter: rate.NewLimiter(full, burst(full)), full: full, changed: now, counted: now}
}

// burst is a tenth of a second's starts.
func burst(r rate.Limit) int {
	if r == rate.Inf {
		return 1
	}
	return int(math.Ceil(float64(r) / 10))
}

// reserve takes the next place in the row, and returns how long it is until
// then.
func (p *pace) reserve() time.Duration {
	p.tick(time.Now())
	return p.limiter.Reserve().Delay()
}

// batch is how many starts are due within a second, at least one.
func (p *pace) batch() int {
	r := p.limiter.Limit()
	if r == rate.Inf {
		return math.MaxInt
	}
	return max(int(r), 1)
}

// tick measures the rate of starts, and lets a slowed one grow.
func (p *pace) tick(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	if d := now.Sub(p.counted); d >= paceStep {
		p.seen = rate.Limit(float64(p.count) / d.Seconds())
		p.counted, p.count = now, 0
	}
	if !p.slowed || now.Sub(p.changed) < paceStep {
		return
	}
	p.changed = now
	next := p.limiter.Limit() * paceGrowth
	// Without a configured rate there is nothing to come back to but what was
	// reached before, and beyond it there is no limit.
	if next >= p.full || (p.full == rate.Inf && next > 4*p.peak()) {
		next, p.slowed = p.full, false
	}
	p.set(now, next)
}

func (p *pace) peak() rate.Limit { return max(p.seen, 100) }

// slow halves the rate, once per step.
func (p *pace) slow(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slowed && now.Sub(p.changed) < paceStep {
		return
	}
	current := p.limiter.Limit()
	if current == rate.Inf {
		current = p.seen
		if d := now.Sub(p.counted).Seconds(); d > 0 && p.seen == 0 {
			current = rate.Limit(float64(p.count) / max(d, 0.1))
		}
	}
	p.changed, p.slowed = now, true
	p.set(now, max(current/2, paceFloor))
}

// set changes the limiter; p.mu is held.
func (p *pace) set(now time.Time, r rate.Limit) {
	p.limiter.SetLimitAt(now, r)
	p.limiter.SetBurstAt(now, burst(r))
}
