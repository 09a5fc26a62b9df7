package httpcall

import (
	"context"
	"math"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"callfleet/internal/call"
)

// policy says how often and how far apart.
type policy struct {
	attempts       int
	base, maxDelay time.Duration
}

func (o Options) policy(r *call.Retry) policy {
	p := policy{attempts: o.MaxAttempts, base: o.BaseDelay, maxDelay: o.MaxDelay}
	if r != nil && r.MaxAttempts > 0 {
		p.attempts = r.MaxAttempts
	}
	if r != nil && r.MaxDelay > 0 {
		p.maxDelay = r.MaxDelay
	}
	p.base = min(p.base, p.maxDelay)
	return p
}

// backoff returns the sequence of pauses, with full jitter: the library takes
// interval ± factor × interval, which with half the interval and factor 1 is
// the whole range from zero to the bound. It is made for one call alone, for
// an instance is not safe for concurrent use, and never stops by itself: the
// attempts and the deadline of the task bound it.
func (p policy) backoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.base/2),
		backoff.WithMaxInterval(p.maxDelay/2),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(1),
		backoff.WithMaxElapsedTime(0),
	)
}

// retriable reports whether an answer asks to be tried again.
func (r reply) retriable() bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusForbidden:
		_, limited := r.asksFor(time.Now())
		return limited
	}
	return false
}

// asksFor is how long an answer asks to wait. A 403 says so by Retry-After, or as
// GitHub does, which limits with 403: nothing remains until a point in time.
// A 403 that says neither is about permissions.
func (r reply) asksFor(now time.Time) (time.Duration, bool) {
	d, ok := retryAfter(r.header, now)
	if ok || r.status != http.StatusForbidden || r.header.Get("X-Ratelimit-Remaining") != "0" {
		return d, ok
	}
	return untilReset(r.header, now)
}

// untilReset reads X-RateLimit-Reset, in seconds since 1970.
func untilReset(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("X-Ratelimit-Reset"))
	if !digits(v) {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 1e9 || n > 1e11 {
		return 0, false // some APIs give seconds from now, with other answers
	}
	return max(time.Unix(n, 0).Sub(serverTime(h, now)), 0), true
}

// pause is the wait before the next attempt.
type pause struct {
	length time.Duration
	asked  bool // by the server
}

// fits reports whether an attempt can still begin after the pause.
func (w pause) fits(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) > w.length
}

// next returns the pause before another attempt; more is false when there is
// none to come.
func (p *plan) next(rep reply, flt *fault) (wait pause, more bool) {
	if p.attempts-p.held >= p.policy.attempts || (flt != nil && flt.permanent) {
		return pause{}, false
	}
	if flt == nil {
		if d, ok := rep.asksFor(time.Now()); ok {
			return pause{length: d, asked: true}, true
		}
	}
	if p.backoff == nil {
		p.backoff = p.policy.backoff()
	}
	return pause{length: p.backoff.NextBackOff()}, true
}

// retryAfter reads both forms of RFC 9110, section 10.2.3: seconds, and a date,
// which is measured against the server's own Date when there is one, for the
// two clocks may differ.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if digits(v) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n > math.MaxInt64/int64(time.Second) {
			return math.MaxInt64, true
		}
		return time.Duration(n) * time.Second, true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	return max(at.Sub(serverTime(h, now)), 0), true
}

// serverTime is the answer's Date, or now.
func serverTime(h http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(textproto.TrimString(h.Get("Date"))); err == nil {
		return date
	}
	return now
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
