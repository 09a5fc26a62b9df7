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
func retriable(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pause is the wait before the next attempt.
type pause struct {
	length time.Duration
	asked  bool // by the server, with Retry-After
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
		if d, ok := retryAfter(rep.header, time.Now()); ok {
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
	if date, err := http.ParseTime(textproto.TrimString(h.Get("Date"))); err == nil {
		now = date
	}
	return max(at.Sub(now), 0), true
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
