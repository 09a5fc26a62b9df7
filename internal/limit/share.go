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
	at    time.Time // of the next token
	every time.Duration
	n     int
}

// last is the time of the last token.
func (b block) last() time.Time { return b.at.Add(time.Duration(b.n-1) * b.every) }

// draw leases up to want tokens for a worker. They are at most half of its even
// part of the horizon: nobody is left without, and what the workers hold lies
// side by side in time, so that each needs its part of the concurrency alone.
func (r *Record) draw(now time.Time, want int) block {
	rate := r.rate(now)
	if rate == 0 || want < 1 {
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
	room := 1
	if every > 0 {
		room += int(end.Sub(start) / every)
	}
	b := block{at: start, every: every, n: max(1, min(want, part, room))}
	r.Next = b.last().Add(every)
	return b
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
