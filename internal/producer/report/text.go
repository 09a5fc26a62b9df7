package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTo writes the summary as a person reads it.
func (s *Summary) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s: %s\n", s.Run, s.headline())
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  ok\t%s\n", group(s.OK))
	fmt.Fprintf(t, "  failed\t%s\n", group(s.Failed))
	for _, f := range s.ByReason {
		fmt.Fprintf(t, "    %s\t%s\n", f.Reason, group(f.Count))
	}
	if s.Open > 0 {
		fmt.Fprintf(t, "  no outcome yet\t%s\n", group(s.Open))
	}
	fmt.Fprintf(t, "  retries\t%s\n", group(s.Retries))
	fmt.Fprintf(t, "  call\t%s\n", s.Call)
	fmt.Fprintf(t, "  total\t%s\n", s.Total)
	if s.Results != "" {
		fmt.Fprintf(t, "  results\t%s\n", s.Results)
	}
	if s.Resume != "" {
		fmt.Fprintf(t, "  go on with\t%s\n", s.Resume)
	}
	if err := t.Flush(); err != nil {
		return 0, err
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (s *Summary) headline() string {
	done := s.OK + s.Failed
	if s.AlreadyDone {
		return fmt.Sprintf("all %s calls were done before, nothing was published", group(done))
	}
	text := group(s.Here) + " calls"
	if s.Here != done {
		text = fmt.Sprintf("%s of %s calls", group(s.Here), group(done))
	}
	text += " in " + round(s.Elapsed)
	if rate := s.Rate(); rate > 0 {
		text += fmt.Sprintf(", %s/s", formatRate(rate))
	}
	if s.Interrupted {
		text += ", interrupted"
	}
	return text
}

// Rate is the calls finished per second.
func (s *Summary) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Here) / s.Elapsed.Seconds()
}

// String is "p50 12ms, p95 30ms, p99 1.2s".
func (l Latency) String() string {
	return fmt.Sprintf("p50 %s, p95 %s, p99 %s", round(l.P50), round(l.P95), round(l.P99))
}

// round keeps about three digits.
func round(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

func formatRate(r float64) string {
	if r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return group(int64(r + 0.5))
}

// group writes 12345 as 12,345.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
