package limit

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// The clocks of the algorithm. A call begins at the earliest at the time of its
// token and at the latest late after it, and tokens that nobody asked for are
// good for catchUp: so that within any window w at most (w+late+catchUp)·rate+1
// calls begin, which over 10 s is 3.5 % more than the limit.
const (
	horizon = 300 * time.Millisecond // how far ahead tokens are leased
	late    = 200 * time.Millisecond
	catchUp = 150 * time.Millisecond

	// LeaseTime is how long a worker's share of a concurrency outlives it.
	LeaseTime = 6 * time.Second
	// skew is what the clocks of two workers may differ by: a worker gives its
	// lease up that much before others take it over.
	skew = time.Second
	// turnTime is how long what cannot be divided evenly stays with a worker.
	turnTime = 2 * time.Second

	firstPause = time.Second // after an answer that asks for a pause and names none
	firstTrip  = time.Second // of a circuit
	longPause  = time.Minute // of both
	maxAsked   = 24 * time.Hour
	probeTime  = time.Minute // after which another worker may probe
	rampTime   = 8 * time.Second
	rampFrom   = 10.0 // calls per second, of a key without a rate
)

// Record is what the fleet knows of one flow key: all of it in one value of the
// store, so that each change is one compare-and-set. Its methods are pure; now
// is the caller's clock.
type Record struct {
	Policy Policy `json:"policy,omitzero"`
	// Next is when the next token of the rate is due: those before it are given
	// out.
	Next time.Time `json:"next,omitzero"`
	// Members are the workers that have calls of the key.
	Members map[string]Member `json:"members,omitempty"`
	// Until is the end of the pause that the API has asked for, Strikes how many
	// it has asked for in a row.
	Until   time.Time `json:"until,omitzero"`
	Strikes int       `json:"strikes,omitempty"`
	// Trips counts the times in a row that the circuit has opened; 0 is closed.
	// It stays open until Cool and longer, until a probe has passed.
	Trips int       `json:"trips,omitempty"`
	Cool  time.Time `json:"cool,omitzero"`
	Probe Probe     `json:"probe,omitzero"`
	// Resumed is when calls go on after a pause, slowly at first.
	Resumed time.Time `json:"resumed,omitzero"`
	Changed time.Time `json:"changed,omitzero"`
}

// Member is a worker's lease on a share of the concurrency.
type Member struct {
	Want  int       `json:"want"`           // calls under way and waiting
	Held  int       `json:"held,omitempty"` // calls that it may have under way
	Until time.Time `json:"until"`
	// Waiting is how many calls waited there when it last wrote.
	Waiting int `json:"waiting,omitempty"`
}

// Probe is the one call that finds out whether a destination works again.
type Probe struct {
	By    string    `json:"by,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// Waiting is how many calls wait in all workers, as of some seconds ago.
func (r *Record) Waiting(now time.Time) int {
	n := 0
	for _, m := range r.Members {
		if now.Before(m.Until) {
			n += m.Waiting
		}
	}
	return n
}

// State is why calls of a key wait, or that they need not.
type State string

// The states of a key, the strongest first.
const (
	Paused  State = "paused"  // by its owner
	Tripped State = "tripped" // the circuit is open: the destination fails
	Held    State = "held"    // by the API, with 429 or 503
	Ramp    State = "ramp"    // going on slowly after a pause
	Open    State = "open"
)

// decode reads a record.
func decode(value []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(value, &r); err != nil {
		return Record{}, fmt.Errorf("decode flow: %w", err)
	}
	return r, nil
}

func (r *Record) encode() ([]byte, error) { return json.Marshal(r) }

// clone is a copy that shares nothing.
func (r *Record) clone() Record {
	c := *r
	c.Members = make(map[string]Member, len(r.Members))
	for id, m := range r.Members {
		c.Members[id] = m
	}
	return c
}

// State is that of the key at now.
func (r *Record) State(now time.Time) State {
	switch {
	case r.Policy.Paused:
		return Paused
	case r.Trips > 0:
		return Tripped
	case now.Before(r.Until):
		return Held
	case r.ramping(now):
		return Ramp
	}
	return Open
}

func (r *Record) ramping(now time.Time) bool {
	return !r.Resumed.IsZero() && now.Before(r.Resumed.Add(rampTime))
}

// rate is how many calls may begin per second at now; 0 is no limit. After a
// pause it doubles every second, up to the policy's.
func (r *Record) rate(now time.Time) float64 {
	full := r.Policy.perSecond()
	if !r.ramping(now) {
		return full
	}
	from := rampFrom
	if full > 0 {
		from = max(full/10, min(full, 1))
	}
	slow := from * math.Exp2(max(0, now.Sub(r.Resumed).Seconds()))
	if full > 0 {
		return min(slow, full)
	}
	return slow
}

// idle reports whether the record says nothing that is still worth keeping.
func (r *Record) idle(now time.Time) bool {
	if !r.Policy.IsZero() || now.Before(r.Until) || r.active(now) > 0 {
		return false
	}
	if r.Trips > 0 { // nobody has called for long
		return now.Sub(r.Changed) > 10*longPause
	}
	return now.Sub(r.Changed) > longPause
}

// Hold pauses the key because the API has asked for it: for asked, or, when it
// named no time, for one that grows. Answers of calls that were under way
// together count once.
func (r *Record) Hold(now time.Time, asked time.Duration, named bool) {
	if !named {
		if now.Before(r.Until) {
			return
		}
		asked = firstPause << min(r.Strikes, 10)
		asked = min(asked, longPause)
		r.Strikes++
	}
	until := now.Add(min(asked, maxAsked))
	if until.After(r.Until) {
		r.Until, r.Resumed = until, until
	}
}

// Trip opens the circuit, or, when a probe has failed, keeps it open for
// longer.
func (r *Record) Trip(now time.Time, by string) {
	if r.Trips > 0 && r.Probe.By != by {
		return // another worker has seen it too
	}
	r.Cool = now.Add(min(firstTrip<<min(r.Trips, 10), longPause))
	r.Trips++
	r.Probe = Probe{}
}

// Passed says that the API has answered a call of the worker: the pauses begin
// anew, and the circuit closes if the call was a probe.
func (r *Record) Passed(now time.Time, by string) {
	if r.Trips > 0 && r.Probe.By == by {
		r.Trips, r.Cool, r.Probe, r.Resumed = 0, time.Time{}, Probe{}, now
	}
	if !now.Before(r.Until) {
		r.Strikes = 0
	}
}

// Abandon gives a probe back whose call has shown nothing.
func (r *Record) Abandon(by string) {
	if r.Probe.By == by {
		r.Probe = Probe{}
	}
}

// Resume ends every pause.
func (r *Record) Resume(now time.Time) {
	r.Policy.Paused = false
	if now.Before(r.Until) || r.Trips > 0 {
		r.Resumed = now
	}
	r.Until, r.Strikes = time.Time{}, 0
	r.Trips, r.Cool, r.Probe = 0, time.Time{}, Probe{}
}

// Set changes the policy. What was given out ahead under the old one is no more
// than the horizon, or one token.
func (r *Record) Set(now time.Time, p Policy) {
	if p.perSecond() != r.Policy.perSecond() && r.Next.After(now) {
		r.Next = now
	}
	r.Policy = p
}

// claimProbe makes the worker the one that probes, if it is time to.
func (r *Record) claimProbe(now time.Time, by string) bool {
	if r.Trips == 0 || now.Before(r.Cool) || r.Probe.By != "" && now.Before(r.Probe.Until) {
		return false
	}
	r.Probe = Probe{By: by, Until: now.Add(probeTime)}
	return true
}
