package limit

import (
	"context"
	"time"

	"callfleet/internal/limit/store"
)

// plan says whether the record has to be changed now, or else when to look
// again. The caller holds mu.
func (f *flow) plan(now time.Time) (need bool, at time.Time) {
	if len(f.changes) > 0 {
		return true, now
	}
	at = now.Add(never)
	id, r := f.limiter.opts.ID, &f.record
	me, member := r.Members[id]
	if f.queue.Len() == 0 && f.running == 0 && member {
		if f.idle.IsZero() {
			f.idle = now
		}
		return !now.Before(f.idle.Add(lingers)), f.idle.Add(lingers)
	}
	// Others must see what waits, and must not take what is in use.
	if f.queue.Len() > 0 || f.running > 0 && r.Policy.Concurrency > 0 {
		if need, at = f.keep(now, me, member); need || !member {
			return true, now
		}
	}
	switch r.State(now) {
	case Paused:
		return false, at
	case Tripped:
		need, later := f.planProbe(now)
		return need, earlier(at, later)
	case Held:
		return false, earlier(at, r.Until)
	}
	if r.rate(now) > 0 {
		need, later := f.planTokens(now)
		if need {
			return true, now
		}
		at = earlier(at, later)
	}
	if r.Policy.Concurrency > 0 {
		need, later := f.planShare(now, me, member)
		if need {
			return true, now
		}
		at = earlier(at, later)
	}
	if r.ramping(now) && f.queue.Len() > 0 { // its end is the end of a rate, perhaps
		at = earlier(at, r.Resumed.Add(rampTime))
	}
	return false, at
}

// planTokens says when to lease tokens: when calls wait for some; or when calls
// may soon, and tokens are left that nobody takes. Tokens that were not used for
// long wait for a permit: more of them would only be missing elsewhere.
func (f *flow) planTokens(now time.Time) (need bool, at time.Time) {
	at = now.Add(never)
	n, last := f.tokens(now)
	if n > 0 && now.Sub(f.blocks[0].due()) > late/2 {
		return false, at
	}
	if n < f.queue.Len() {
		at = f.record.nextDraw()
		if n > 0 && last.Add(-lead).After(at) {
			at = last.Add(-lead)
		}
	}
	if f.running > 0 && f.short(now) {
		at = earlier(at, f.record.untaken(now, f.pace.spare()/2))
	}
	return !at.After(now), at
}

// planProbe says when this worker may probe.
func (f *flow) planProbe(now time.Time) (need bool, at time.Time) {
	if f.queue.Len() == 0 || f.probing != noProbe {
		return false, now.Add(never)
	}
	if at = f.record.Cool; f.record.Probe.By != "" && f.record.Probe.Until.After(at) {
		at = f.record.Probe.Until
	}
	return !at.After(now), at
}

// planShare says whether the worker's share of the concurrency has to change:
// because it is about to end, because calls wait and more is left, or because
// another has too little.
func (f *flow) planShare(now time.Time, me Member, member bool) (need bool, at time.Time) {
	if f.queue.Len() == 0 && f.running == 0 {
		return false, now.Add(never)
	}
	if need, at = f.keep(now, me, member); need || !member {
		return true, now
	}
	id, r := f.limiter.opts.ID, &f.record
	before := me.Want
	me.Want = f.wants(r, f.queue.Len()+f.running)
	r.Members[id] = me // as it would be
	share, starving := r.share(now, id, f.running), f.starving(now)
	poor := f.queue.Len() > 0 && f.running >= me.Held
	more := me.Want > before
	me.Want = before
	r.Members[id] = me
	f.yield = starving && share <= f.running && f.record.fair(now, id) < f.running
	if poor && (share > me.Held || more) || share < me.Held && starving {
		return true, now
	}
	if f.record.active(now) > 1 { // what cannot be divided goes round
		at = earlier(at, now.Truncate(turnTime).Add(turnTime))
	}
	return false, at
}

// keep says when the lease has to be prolonged.
func (f *flow) keep(now time.Time, me Member, member bool) (need bool, at time.Time) {
	if !member {
		return false, now.Add(never)
	}
	at = me.Until.Add(-LeaseTime * 2 / 3)
	return !at.After(now), at
}

// starving reports whether another member has less than its fair part, and
// nothing is left for it.
func (f *flow) starving(now time.Time) bool {
	held, poor := 0, false
	for id, m := range f.record.Members {
		if !now.Before(m.Until.Add(skew)) {
			continue
		}
		held += m.Held
		if id != f.limiter.opts.ID && m.Held < m.Want && m.Held < f.record.fair(now, id) {
			poor = true
		}
	}
	return poor && held >= f.record.Policy.Concurrency
}

// lease makes our changes in the store, and leases what the waiting calls need.
// Without mu.
func (f *flow) lease(ctx context.Context) error {
	id := f.limiter.opts.ID
	f.mu.Lock()
	from := version{f.record.clone(), f.revision}
	made := len(f.changes)
	changes := f.changes[:made:made]
	tokens, _ := f.tokens(time.Now())
	queued, running, ready := f.queue.Len(), f.running, f.probing == noProbe
	f.pace.measure(time.Now(), queued)
	spare := f.pace.spare()
	parked := f.parked
	f.mu.Unlock()

	var got block
	var probe bool
	to, err := exchange(ctx, f.limiter.store, f.key, from, func(r *Record, now time.Time) {
		for _, change := range changes {
			change(r)
		}
		got, probe = block{}, false
		_, member := r.Members[id]
		if r.Policy.Concurrency > 0 || r.rate(now) > 0 || member || queued > 0 {
			r.join(now.Round(0), id, f.wants(r, queued+running), running)
		}
		if m, ok := r.Members[id]; ok {
			m.Waiting = parked
			r.Members[id] = m
		}
		switch r.State(now) {
		case Ramp, Open:
			got = r.draw(now.Round(0), queued-tokens, spare)
		case Tripped:
			probe = ready && queued > 0 && r.claimProbe(now.Round(0), id)
		}
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = f.changes[made:]
	f.adopt(to.record, store.Entry{Revision: to.revision, Value: []byte{}})
	if got.n > 0 {
		f.blocks = append(f.blocks, got)
	}
	if probe && f.probing == noProbe {
		f.probing = probeLeased
	}
	return nil
}

// wants is how many calls the worker says it wants at once. One that is alone
// takes all there is, so that it need not ask for each call.
func (f *flow) wants(r *Record, n int) int {
	c := r.Policy.Concurrency
	if n == 0 || c == 0 {
		return n
	}
	if _, member := r.Members[f.limiter.opts.ID]; len(r.Members) == 0 || len(r.Members) == 1 && member {
		return c
	}
	return min(n, c)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
