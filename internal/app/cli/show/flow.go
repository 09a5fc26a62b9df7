package show

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"callfleet/internal/limit"
)

// Flows writes flow keys and their limits as a table.
func Flows(w io.Writer, all []limit.Flow, now time.Time) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "FLOW\tSTATE\tRATE\tCONCURRENCY\tBACKLOG\tWAITING\tUNTIL")
	for _, f := range all {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", f.Key, f.State(now), rateOf(f.Policy),
			orDash(f.Policy.Concurrency), orDash(f.Policy.Backlog), f.Waiting(now), until(&f, now))
	}
	return out.Flush()
}

// rateOf is the rate as "producer flow set" takes it.
func rateOf(p limit.Policy) string {
	if p.Rate == 0 {
		return "-"
	}
	switch p.Period {
	case 0, time.Second:
		return strconv.Itoa(p.Rate) + "/s"
	case time.Minute:
		return strconv.Itoa(p.Rate) + "/m"
	case time.Hour:
		return strconv.Itoa(p.Rate) + "/h"
	}
	period := p.Period.String()
	for _, zero := range []struct{ unit, tail string }{{"m", "0s"}, {"h", "0m"}} {
		if strings.HasSuffix(period, zero.unit+zero.tail) {
			period = strings.TrimSuffix(period, zero.tail)
		}
	}
	return strconv.Itoa(p.Rate) + "/" + period
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// until is when the API, or the circuit, lets calls begin again.
func until(f *limit.Flow, now time.Time) string {
	switch f.State(now) {
	case limit.Held:
		return f.Until.UTC().Format(time.RFC3339)
	case limit.Tripped:
		return f.Cool.UTC().Format(time.RFC3339)
	}
	return "-"
}

// Policy is a flow key's limits on one line.
func Policy(p limit.Policy) string {
	var parts []string
	if p.Paused {
		parts = append(parts, "paused")
	}
	if p.Rate > 0 {
		parts = append(parts, "rate "+rateOf(p))
	}
	if p.Concurrency > 0 {
		parts = append(parts, "concurrency "+strconv.Itoa(p.Concurrency))
	}
	if p.Backlog > 0 {
		parts = append(parts, "backlog "+strconv.Itoa(p.Backlog))
	}
	if len(parts) == 0 {
		return "no limits"
	}
	return strings.Join(parts, ", ")
}
