package limit

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// block is a part of the schedule of a rate, leased by one worker: n tokens,
// every apart.
type block struct {
	at     time.Time // of the next token
	every  time.Duration
	n      int
	leased time.Time
}

// due is since when the next token could be used.
func (b block) due() time.Time {
	if b.leased.After(b.at) {
		return b.leased
	}
	return b.at
}

// last is the time of the last token.
func (b block) last() time.Time { return b.at.Add(time.Duration(b.n-1) * b.every) }

// pace is how fast calls take tokens.
type pace struct {
	perSecond float64
	calls     int       // since it was measured last
	since     time.Time // when that was
}

// measure begins anew. Calls that wait belong to the time that is over.
func (p *pace) measure(now time.Time, waiting int) {
	const least = 10 * time.Millisecond
	if span := now.Sub(p.since); span < time.Second { // else it says nothing of now
		p.perSecond = float64(p.calls+waiting) / max(span, least).Seconds()
	} else {
		p.perSecond = 0
	}
	p.calls, p.since = 0, now
}

// spare is how many tokens are kept for calls that have not come yet.
func (p *pace) spare() int { return int(p.perSecond * ahead.Seconds()) }

// draw leases up to want tokens for a worker. They are at most half of its even
// part of the horizon: nobody is left without, and what the workers hold lies
// side by side in time, so that each needs its part of the concurrency alone.
// Spare tokens come on top, of those alone that were due before and that nobody
// took.
func (r *Record) draw(now time.Time, want, spare int) block {
	rate := r.rate(now)
	if rate == 0 {
		return block{}
	}
	every := time.Duration(float64(time.Second) / rate)
	start := r.Next
	if earliest := now.Add(-catchUp); start.Before(earliest) {
		start = earliest
	}
	end := now.Add(horizon)
	if start.After(end) {
		return block{}
	}
	part := int(math.Ceil(horizon.Seconds() * rate / 2 / float64(max(1, r.active(now)))))
	within := func(end time.Time) int { return int(end.Sub(start) / max(every, 1)) }
	n := min(want, part, 1+within(end))
	if n = max(n, min(want+spare, part, within(now))); n < 1 {
		return block{}
	}
	b := block{at: start, every: every, n: n, leased: now}
	r.Next = b.last().Add(every)
	return b
}

// untaken is when there are n tokens that were due and that nobody took.
func (r *Record) untaken(now time.Time, n int) time.Time {
	return r.Next.Add(time.Duration(float64(n) / r.rate(now) * float64(time.Second)))
}

// nextDraw is when draw gives tokens again.
func (r *Record) nextDraw() time.Time { return r.Next.Add(-horizon) }

// active counts the workers that have calls of the key.
func (r *Record) active(now time.Time) int {
	n := 0
	for _, m := range r.Members {
		if m.Want > 0 && now.Before(m.Until) {
			n++
		}
	}
	return n
}

// join makes the worker a member that wants n calls, running of which are under
// way, and gives it its share of the concurrency, as far as others have left
// it. n = 0 ends the membership.
func (r *Record) join(now time.Time, id string, want, running int) {
	for other, m := range r.Members {
		if !now.Before(m.Until.Add(skew)) {
			delete(r.Members, other)
		}
	}
	if want == 0 {
		delete(r.Members, id)
		return
	}
	if r.Members == nil {
		r.Members = map[string]Member{}
	}
	m := Member{Want: want, Until: now.Add(LeaseTime)}
	r.Members[id] = m
	if r.Policy.Concurrency > 0 {
		m.Held = r.share(now, id, running)
		r.Members[id] = m
	}
}

// share is what the worker may hold: its fair part, not what others hold, and
// never less than what it has under way.
func (r *Record) share(now time.Time, id string, running int) int {
	room := r.Policy.Concurrency
	for other, m := range r.Members {
		if other != id && now.Before(m.Until.Add(skew)) {
			room -= m.Held
		}
	}
	return max(running, min(r.fair(now, id), room))
}

// fair divides the concurrency by what the members want: nobody gets more than
// that, what one leaves goes to the others, and what cannot be divided goes
// round.
func (r *Record) fair(now time.Time, id string) int {
	type part struct {
		id   string
		want int
	}
	var parts []part
	for other, m := range r.Members {
		if other == id || now.Before(m.Until.Add(skew)) {
			parts = append(parts, part{other, m.Want})
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(a.id, b.id) })
	if n := len(parts); n > 1 {
		first := int(now.UnixNano()/int64(turnTime)) % n
		parts = append(parts[first:n:n], parts[:first]...)
	}
	left, got := r.Policy.Concurrency, make(map[string]int, len(parts))
	for open := len(parts); left > 0 && open > 0; {
		each := max(1, left/open)
		open = 0
		for _, p := range parts {
			take := min(each, p.want-got[p.id], left)
			got[p.id] += take
			left -= take
			if got[p.id] < p.want {
				open++
			}
		}
	}
	return got[id]
}
