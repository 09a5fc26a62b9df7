package limit

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of what a policy may be.
const (
	maxRate        = 1_000_000
	maxPeriod      = 24 * time.Hour
	maxConcurrency = 1_000_000
)

// Policy is what the owner of a flow key has set. The zero value limits
// nothing.
type Policy struct {
	// Rate calls may begin per Period (1 s if 0), spread evenly over it; 0 is no
	// limit.
	Rate   int           `json:"rate,omitempty"`
	Period time.Duration `json:"period,omitempty"`
	// Concurrency is how many calls may be under way at once; 0 is no limit.
	Concurrency int `json:"concurrency,omitempty"`
	// Paused lets no call begin.
	Paused bool `json:"paused,omitempty"`
	// Backlog is how many calls may wait in one worker; those beyond it wait on
	// the queue. 0 is the worker's own bound.
	Backlog int `json:"backlog,omitempty"`
}

// IsZero reports whether the policy limits nothing.
func (p Policy) IsZero() bool { return p == Policy{} }

// perSecond is the rate, 0 for no limit.
func (p Policy) perSecond() float64 {
	if p.Rate == 0 {
		return 0
	}
	period := p.Period
	if period == 0 {
		period = time.Second
	}
	return float64(p.Rate) / period.Seconds()
}

// Check reports every mistake in the policy.
func (p Policy) Check() error {
	var errs []error
	within := func(name string, n, most int) {
		if n < 0 || n > most {
			errs = append(errs, fmt.Errorf("%s %d: want 0 to %d", name, n, most))
		}
	}
	within("rate", p.Rate, maxRate)
	within("concurrency", p.Concurrency, maxConcurrency)
	within("backlog", p.Backlog, maxConcurrency)
	if p.Period < 0 || p.Period > maxPeriod {
		errs = append(errs, fmt.Errorf("period %s: want at most %s", p.Period, maxPeriod))
	}
	return errors.Join(errs...)
}

// HostKey is the default flow key of a URL: its host and port, in small
// letters, without a final dot or an empty port.
func HostKey(url string) string {
	_, rest, found := strings.Cut(url, "://")
	if !found {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	rest = strings.Replace(strings.TrimSuffix(rest, ":"), ".:", ":", 1)
	return strings.ToLower(strings.TrimSuffix(rest, "."))
}
