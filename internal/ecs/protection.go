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
	// Logger defaults to slog.Default.
	Logger *slog.Logger
}

// Protection keeps scale-in away from this task while it is busy. Its methods
// are safe for concurrent use.
type Protection struct {
	env     *Environment
	options ProtectionOptions
	edge    chan struct{} // holds one signal: the work has changed

	mu    sync.Mutex
	busy  bool      // guarded by mu
	since time.Time // guarded by mu: when busy changed last

	// What follows is owned by the goroutine of Run.
	on       bool      // the agent has confirmed it
	possible bool      // it may be on: nothing has confirmed that it is off
	renewAt  time.Time // when it is on
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
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Protection{env: e, options: o, edge: make(chan struct{}, 1), since: time.Now()}
}

// Set says whether the task is busy. It only takes note and does not block.
func (p *Protection) Set(busy bool) {
	p.mu.Lock()
	if p.busy != busy {
		p.busy, p.since = busy, time.Now()
	}
	p.mu.Unlock()
	select {
	case p.edge <- struct{}{}:
	default: // one is on its way
	}
}

func (p *Protection) work() (busy bool, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy, p.since
}

// Run asks the agent for what the work needs until ctx ends, then takes the
// protection off and returns nil. What the agent refuses is logged: the work
// goes on unprotected. Run may be called once.
func (p *Protection) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		on, at := p.next()
		var due <-chan time.Time
		if !at.IsZero() {
			wait := time.Until(at)
			if wait <= 0 {
				p.change(ctx, on)
				continue
			}
			due = time.After(wait)
		}
		select {
		case <-p.edge:
		case <-due:
		case <-ctx.Done():
		}
	}
	p.lift(ctx)
	return nil
}

// next is what to ask for and when; never is the zero time.
func (p *Protection) next() (on bool, at time.Time) {
	busy, since := p.work()
	switch {
	case p.hopeless, !busy && !p.possible:
		return false, time.Time{}
	case !busy:
		at = since.Add(p.options.IdleFor)
	case p.on:
		at = p.renewAt
	default:
		at = since
	}
	if at.Before(p.retryAt) {
		at = p.retryAt
	}
	return busy, at
}

// change asks once.
func (p *Protection) change(ctx context.Context, on bool) {
	began := time.Now()
	err := p.env.protect(ctx, on, p.options.Expiry)
	if err == nil {
		p.on, p.possible, p.renewAt = on, on, began.Add(p.options.RenewEvery)
		p.options.Logger.Debug("scale-in protection was set", "on", on)
		if p.failures >= patience {
			p.options.Logger.Info("scale-in protection can be set again")
		}
		p.failures, p.retryAt = 0, time.Time{}
		return
	}
	if applied(err) {
		p.on, p.possible = p.on && on, true
	}
	if ctx.Err() == nil {
		p.failed(on, err)
	}
}

// How an error of the agent is met.
const (
	patience   = 3 // errors in a row that are worth a warning
	firstPause = time.Second
	lastPause  = time.Minute
)

// failed says when to ask again, and tells once what is wrong.
func (p *Protection) failed(on bool, err error) {
	p.failures++
	if advice := adviceOn(err); advice != "" {
		p.hopeless = true
		p.options.Logger.Warn("scale-in may stop this task while it works: protection is not asked for any more",
			"error", err, "advice", advice)
		return
	}
	pause := lastPause
	if p.failures < 10 {
		pause = min(firstPause<<(p.failures-1), lastPause)
	}
	pause = pause/2 + rand.N(pause/2)
	p.retryAt = time.Now().Add(pause)
	level := slog.LevelDebug
	if p.failures == patience {
		level = slog.LevelWarn
	}
	p.options.Logger.Log(context.Background(), level, "setting scale-in protection again after an error; calls go on meanwhile",
		"on", on, "error", err, "pause", pause)
}

// What a stopping program has for taking the protection off.
const (
	liftTimeout = 2 * time.Second
	liftPause   = 100 * time.Millisecond
)

// lift takes the protection off, if there may be one. A task that is kept from
// scale-in after its process has gone would hold up a deployment.
func (p *Protection) lift(ctx context.Context) {
	if !p.possible || p.hopeless {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), liftTimeout)
	defer cancel()
	for pause := liftPause; ; pause *= 2 {
		err := p.env.protect(ctx, false, 0)
		if err == nil {
			p.on, p.possible = false, false
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
