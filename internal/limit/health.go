package limit

import (
	"time"

	"callfleet/internal/call"
)

// When the circuit of a key opens: this many connections that fail in a row,
// or this part of at least so many calls within the window.
const (
	tripInRow  = 5
	tripCalls  = 20
	tripPart   = 0.8
	healthTime = 10 * time.Second
)

// verdict is what the end of an attempt says of its destination.
type verdict int

const (
	nothing verdict = iota // it shows neither
	passed                 // it works
	failed                 // it answers with an error
	broken                 // it does not answer
	busy                   // it asks to be left alone
	away                   // it turns the call away, and asks for nothing
)

func judge(a call.Attempt) verdict {
	switch {
	case a.Failure == call.ConnectionFailed || a.Failure == call.Timeout:
		return broken
	case a.Failure != "":
		return nothing
	case a.Status == 429, (a.Status == 503 || a.Status == 403) && a.Asked: // GitHub limits with 403
		return busy
	case a.Status == 503:
		return away
	case a.Status == 500 || a.Status == 502 || a.Status == 504:
		return failed
	}
	return passed
}

// health counts what a key's destination has done lately.
type health struct {
	inRow         int
	calls, failed int
	since         time.Time // of the window
	last          time.Time // that a call failed
}

// note counts an attempt and reports whether the circuit has to open.
func (h *health) note(v verdict, now time.Time) (trip bool) {
	if now.Sub(h.since) > healthTime {
		h.since, h.calls, h.failed = now, 0, 0
	}
	switch v {
	case passed:
		h.inRow = 0
	case broken:
		h.inRow++
	case failed, away:
	default:
		return false
	}
	h.calls++
	if v != passed {
		h.failed++
		h.last = now
	}
	if h.inRow < tripInRow && (h.calls < tripCalls || float64(h.failed) < tripPart*float64(h.calls)) {
		return false
	}
	*h = health{last: h.last}
	return true
}

// fresh reports whether the counts still matter.
func (h *health) fresh(now time.Time) bool { return now.Sub(h.last) < healthTime }

// meter counts calls per second.
type meter struct {
	second  int64 // of the last count
	buckets [10]int
}

func (m *meter) add(now time.Time) {
	m.roll(now)
	m.buckets[m.second%int64(len(m.buckets))]++
}

func (m *meter) roll(now time.Time) {
	s := now.Unix()
	for i := max(m.second+1, s-int64(len(m.buckets))+1); i <= s; i++ {
		m.buckets[i%int64(len(m.buckets))] = 0
	}
	m.second = max(m.second, s)
}

// perSecond is the mean over the buckets that are full.
func (m *meter) perSecond(now time.Time) float64 {
	m.roll(now)
	sum := 0
	for i, n := range m.buckets {
		if int64(i) != m.second%int64(len(m.buckets)) {
			sum += n
		}
	}
	return float64(sum) / float64(len(m.buckets)-1)
}
