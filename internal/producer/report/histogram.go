package report

import (
	"math/bits"
	"time"
)

// The buckets of a Histogram: 64 to each power of two of microseconds, so that
// a percentile is at most 1.6 % too high.
const (
	subBits    = 6
	subBuckets = 1 << subBits
	buckets    = (64 - subBits) * subBuckets
)

// Histogram counts durations in fixed memory (30 KB). The zero value is empty.
type Histogram struct {
	counts [buckets]int64
	n      int64
	max    time.Duration
}

// Add counts d; a negative one is 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d.Microseconds()))]++
	h.n++
	h.max = max(h.max, d)
}

// Quantile is the duration that the share q (0 to 1) of all durations does not
// exceed; 0 of an empty histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(int64(q*float64(h.n)+0.999999), 1)
	var seen int64
	for b, n := range h.counts {
		if seen += n; seen >= rank {
			if top := topOf(b); top < uint64(h.max.Microseconds()) {
				return time.Duration(top) * time.Microsecond
			}
			return h.max
		}
	}
	return h.max
}

// Latency are the usual percentiles.
func (h *Histogram) Latency() Latency {
	return Latency{P50: h.Quantile(0.50), P95: h.Quantile(0.95), P99: h.Quantile(0.99)}
}

// bucketOf: below subBuckets a bucket per value; above, the highest subBits+1
// bits of the value choose the bucket.
func bucketOf(us uint64) int {
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - subBits - 1
	return (shift+1)*subBuckets + int(us>>shift) - subBuckets
}

// topOf is the largest value of the bucket.
func topOf(b int) uint64 {
	if b < subBuckets {
		return uint64(b)
	}
	shift := b/subBuckets - 1
	return (uint64(b%subBuckets+subBuckets)+1)<<shift - 1
}
