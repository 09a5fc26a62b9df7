package httpcall

import (
	"net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		value, date string
		want        time.Duration
		ok          bool
	}{
		"none":           {"", "", 0, false},
		"seconds":        {"120", "", 2 * time.Minute, true},
		"zero":           {" 0 ", "", 0, true},
		"date":           {"Sun, 01 Mar 2026 12:00:30 GMT", "", 30 * time.Second, true},
		"server's clock": {"Sun, 01 Mar 2026 13:00:30 GMT", "Sun, 01 Mar 2026 13:00:00 GMT", 30 * time.Second, true},
		"past":           {"Sun, 01 Mar 2026 11:00:00 GMT", "", 0, true},
		"huge":           {"99999999999999999999", "", 1<<63 - 1, true},
		"large":          {"9999999999", "", 1<<63 - 1, true},
		"negative":       {"-1", "", 0, false},
		"nonsense":       {"soon", "", 0, false},
		"fraction":       {"1.5", "", 0, false},
	} {
		h := http.Header{"Retry-After": {tc.value}, "Date": {tc.date}}
		if got, ok := retryAfter(h, now); got != tc.want || ok != tc.ok {
			t.Errorf("%s: got %s %t, want %s %t", name, got, ok, tc.want, tc.ok)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Sun, 01 Mar 2026 12:00:30 GMT", "Sun, 01 Mar 2026 12:00:00 GMT")
	f.Add("99999999999999999999", "x")
	f.Fuzz(func(t *testing.T, value, date string) {
		if d, _ := retryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(0, 0)); d < 0 {
			t.Fatalf("%q at %q is a wait of %s", value, date, d)
		}
	})
}
