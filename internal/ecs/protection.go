package ecs

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// ProtectionOptions set up a Protection. The zero value of a field is the
// default named with it.
type ProtectionOptions struct {
	// Expiry is how long the task stays protected without a renewal: what a
	// process that dies leaves behind. Whole minutes, from 1 to 2,880; default 10.
	Expiry time.Duration
	// RenewEvery is the time between renewals. Default half of Expiry.
	RenewEvery time.Duration
	// IdleFor is how long the task must be idle until it gives its protection
	// up. Default 5 s.
	IdleFor time.Duration
	// Oldest tells when the work began that has lasted longest; the zero time is
	// none. It must not block. Default is when the task became busy.
	Oldest func() time.Time
	// Long is from when on work is long. A task that is never idle and has only
	// short work is not protected for ever: it could neither be scaled in nor
	// replaced by a deployment. Default 20 s.
	Long time.Duration
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

// Protection keeps scale-in away from this task while it is busy. Its methods
// are safe for concurrent use.
type Protection struct {
	env     *Environment
	options ProtectionOptions
	sooner  chan struct{} // holds one signal: Run has something to do earlier than it planned

	mu       sync.Mutex // guards what follows
	busy     bool
	since    time.Time // when busy changed last
	planned  time.Time // when Run looks again; the zero time is never
	on       bool      // the agent has confirmed it in this period of work
	possible bool      // it may be on: nothing has confirmed that it is off
	renewAt  time.Time // while on: when to ask again, if there is long work
	until    time.Time // while on: when it ends without that
	retryAt  time.Time // nothing is asked before, after an error
	failures int       // in a row
	hopeless bool      // the agent will never do it
}

// Protection returns the protection of this task, which is off; nil outside ECS
// and when the agent has no endpoint for it.
func (e *Environment) Protection(o ProtectionOptions) *Protection {
	if e == nil || e.agent == "" {
		return nil
	}
	o.Expiry = max(cmp.Or(o.Expiry, 10*time.Minute).Truncate(time.Minute), time.Minute)
	o.RenewEvery = cmp.Or(o.RenewEvery, o.Expiry/2)
	o.IdleFor = cmp.Or(o.IdleFor, 5*time.Second)
	o.Long = cmp.Or(o.Long, 20*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Protection{env: e, options: o, sooner: make(chan struct{}, 1), since: time.Now()}
}

// Set says whether the task is busy. It only takes note and does not block; of
// many short calls in a row it wakes nobody.
func (p *Protection) Set(busy bool) {
	p.mu.Lock()
	if p.busy != busy {
		p.busy, p.since = busy, time.Now()
	}
	_, at := p.next()
	sooner := !at.IsZero() && (p.planned.IsZero() || at.Before(p.planned))
	p.mu.Unlock()
	if sooner {
		select {
		case p.sooner <- struct{}{}:
		default: // one is on its way
		}
	}
}

// Run asks the agent for what the work needs until ctx ends, then takes the
// protection off and returns nil. What the agent refuses is logged: the work
// goes on unprotected. Run may be called once.
func (p *Protection) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		on, at := p.plan()
		var due <-chan time.Time
		if !at.IsZero() {
			wait := time.Until(at)
			if wait <= 0 {
				if !p.passed(on) {
					p.change(ctx, on)
				}
				continue
			}
			due = time.After(wait)
		}
		select {
		case <-p.sooner:
		case <-due:
		case <-ctx.Done():
		}
	}
	p.lift(ctx)
	return nil
}

func (p *Protection) plan() (on bool, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	on, p.planned = p.next()
	return on, p.planned
}

// next is what to ask for and when; the zero time is never. p.mu is held.
func (p *Protection) next() (on bool, at time.Time) {
	switch {
	case p.hopeless, !p.busy && !p.possible && !p.on:
		return false, time.Time{}
	case !p.busy:
		at = p.since.Add(p.options.IdleFor)
	case p.on:
		at = p.renewAt
	default:
		at = p.since
	}
	if at.Before(p.retryAt) {
		at = p.retryAt
	}
	return p.busy, at
}

// lookEvery is the time between looks for long work, once a renewal was not
// needed.
const lookEvery = 15 * time.Second

// passed reports whether there is nothing to ask for although it is time: the
// work is too short for a renewal, or the protection has ended by itself.
func (p *Protection) passed(on bool) bool {
	var oldest time.Time
	if on && p.options.Oldest != nil {
		oldest = p.options.Oldest() // not under mu: it takes locks of those who call Set
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.options.Oldest == nil {
		oldest = p.since
	}
	now := time.Now()
	if p.on && !now.Before(p.until) {
		p.possible = false
	}
	switch {
	case !on && !p.possible: // it is idle, and the protection is over
		p.on = false
		return true
	case on && p.on && (oldest.IsZero() || now.Sub(oldest) < p.options.Long):
		p.renewAt = now.Add(min(lookEvery, p.options.RenewEvery))
		return true
	}
	return false
}

// change asks once, and tells afterwards what came of it: Set must not wait for
// a log that is slow.
func (p *Protection) change(ctx context.Context, on bool) {
	began := time.Now()
	err := p.env.protect(ctx, on, p.options.Expiry)
	log := p.options.Logger.With("on", on)
	switch before, pause := p.record(on, began, err); {
	case err == nil && before >= patience:
		log.Info("scale-in protection can be set again")
	case err == nil:
		log.Debug("scale-in protection was set")
	case ctx.Err() != nil: // the program stops
	case pause == 0:
		log.Warn("scale-in may stop this task while it works: protection is not asked for any more", "error", err, "advice", adviceOn(err))
	case before+1 == patience:
		log.Warn("asking for scale-in protection again after errors; calls go on meanwhile", "error", err, "pause", pause)
	default:
		log.Debug("asking for scale-in protection again after an error", "error", err, "pause", pause)
	}
}

// How an error of the agent is met.
const (
	patience   = 3 // errors in a row that are worth a warning
	firstPause = time.Second
	lastPause  = time.Minute
)

// record notes what came of a request. It returns how many before it had
// failed in a row, and after an error the pause until the next; 0 is for ever.
func (p *Protection) record(on bool, began time.Time, err error) (before int, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.failures
	if err == nil {
		p.on, p.possible, p.renewAt, p.until = on, on, began.Add(p.options.RenewEvery), began.Add(p.options.Expiry)
		p.failures, p.retryAt = 0, time.Time{}
		return before, 0
	}
	if applied(err) {
		p.on, p.possible = p.on && on, true
	}
	p.failures++
	if p.hopeless = adviceOn(err) != ""; p.hopeless {
		return before, 0
	}
	bound := min(firstPause<<min(before, 10), lastPause)
	pause = bound/2 + rand.N(bound/2)
	p.retryAt = time.Now().Add(pause)
	return before, pause
}

// What a stopping program has for taking the protection off.
const (
	liftTimeout = 2 * time.Second
	liftPause   = 100 * time.Millisecond
)

// lift takes the protection off, if there may be one. A task that is kept from
// scale-in after its process has gone would hold up a deployment.
func (p *Protection) lift(ctx context.Context) {
	p.mu.Lock()
	needed := p.possible && !p.hopeless
	p.mu.Unlock()
	if !needed {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), liftTimeout)
	defer cancel()
	for pause := liftPause; ; pause *= 2 {
		err := p.env.protect(ctx, false, 0)
		if err == nil {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		if ctx.Err() != nil || adviceOn(err) != "" {
			p.options.Logger.Warn("scale-in protection was not taken off: it ends by itself", "error", err, "within", p.options.Expiry)
			return
		}
	}
}
