package report

import (
	"bytes"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"callfleet/internal/producer/journal"
)

var update = flag.Bool("update", false, "write the golden files")

func TestSummaryText(t *testing.T) {
	t.Parallel()
	var s Stats
	for i := range 12_000 {
		s.Add(journal.Result{Status: "SUCCEEDED", StatusCode: 200, Attempts: 1 + i%2,
			Durations: &journal.Durations{Call: int64(i % 100), Total: int64(i)}})
	}
	for range 40 {
		s.Add(journal.Result{Status: "FAILED", StatusCode: 404, Error: "Callfleet.StatusCode.404", Attempts: 1, Durations: &journal.Durations{Call: 1, Total: 2}})
		s.Add(journal.Result{Status: "FAILED", Error: "Callfleet.Timeout"})
	}
	s.Add(journal.Result{Status: "TIMED_OUT"})
	full := Summary{Run: "k3jx", Here: 12_081, Elapsed: 61500 * time.Millisecond, Results: "results.jsonl"}
	s.Fill(&full)
	resumed := full
	resumed.Here, resumed.Open, resumed.Interrupted, resumed.Resume = 81, 7, true, "producer run calls.jsonl --run k3jx --resume"
	done := full
	done.Here, done.AlreadyDone = 0, true
	for name, sum := range map[string]Summary{"full": full, "resumed": resumed, "done": done, "nothing": {Run: "k3jx"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			if n, err := sum.WriteTo(&got); err != nil || n != int64(got.Len()) {
				t.Errorf("wrote %d, %v", n, err)
			}
			golden(t, name, got.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
	}
}

// A percentile is the true one or at most 1.6 % above it.
func TestHistogramIsExactEnough(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(math.Exp(random.Float64()*20)) * time.Microsecond
		h.Add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.95, 0.99, 0.999, 1} {
		want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
		if got := h.Quantile(q); got < want || float64(got) > float64(want)*1.016+1000 {
			t.Errorf("quantile %g is %s, want %s", q, got, want)
		}
	}
}

func TestHistogramBuckets(t *testing.T) {
	t.Parallel()
	for _, us := range []uint64{0, 1, 63, 64, 65, 127, 128, 1000, 1 << 20, 1<<53 - 1, math.MaxInt64 / 1000} {
		b := bucketOf(us)
		if b < 0 || b >= buckets || topOf(b) < us || b > 0 && topOf(b-1) >= us {
			t.Errorf("%d is in bucket %d, up to %d", us, b, topOf(b))
		}
	}
	var h Histogram
	h.Add(-time.Second)
	h.Add(math.MaxInt64)
	if h.Quantile(0.5) != 0 || h.Quantile(1) != math.MaxInt64 {
		t.Errorf("quantiles are %s and %s", h.Quantile(0.5), h.Quantile(1))
	}
	var empty Histogram
	if got := empty.Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %s", got)
	}
}

func TestReasonsAreBounded(t *testing.T) {
	t.Parallel()
	var s Stats
	for i := range 1000 {
		s.Add(journal.Result{Status: "FAILED", Error: "Error" + strconv.Itoa(i)})
	}
	var sum Summary
	s.Fill(&sum)
	if len(sum.ByReason) != maxReasons+1 || sum.Failed != 1000 || sum.ByReason[0] != (Failures{otherReason, 900}) {
		t.Errorf("%d reasons, the first %+v", len(sum.ByReason), sum.ByReason[0])
	}
}

func TestSnapshotLine(t *testing.T) {
	t.Parallel()
	rows := []struct {
		snapshot Snapshot
		want     string
	}{
		{Snapshot{}, "0 done, 0.0/s, ok 0, failed 0"},
		{Snapshot{OK: 900, Failed: 100, Total: 20_000, Elapsed: 2 * time.Second}, "1,000 of 20,000 (5 %) done, 500/s, ok 900, failed 100, 38s left"},
		{Snapshot{OK: 1500, Total: 2000, Before: 1000, Elapsed: 100 * time.Second}, "1,500 of 2,000 (75 %) done, 5.0/s, ok 1,500, failed 0, 1m40s left"},
		{Snapshot{OK: 5, Total: 5, Elapsed: time.Second}, "5 of 5 (100 %) done, 5.0/s, ok 5, failed 0"},
	}
	for _, row := range rows {
		if got := row.snapshot.String(); got != row.want {
			t.Errorf("%+v is %q, want %q", row.snapshot, got, row.want)
		}
	}
}

func TestBarShowsTheLastState(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	p := NewProgress(&screen, true)
	p.Update(Snapshot{OK: 1, Elapsed: time.Second})
	p.Note("calls.jsonl:3: is bad")
	p.Update(Snapshot{OK: 1200, Failed: 34, Total: 2000, Elapsed: time.Second})
	p.Close()
	text := screen.String()
	for _, want := range []string{"calls.jsonl:3: is bad", "1,234/2,000", "1,234/s  ok 1,200  failed 34  1s left"} {
		if !strings.Contains(text, want) {
			t.Errorf("screen %q has no %q", text, want)
		}
	}
}
