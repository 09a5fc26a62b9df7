package worker

import (
	"testing"
	"time"
)

// A sweeper is given what is due, each job once until it is renewed, whatever
// comes and goes meanwhile.
func TestDue(t *testing.T) {
	t.Parallel()
	const n, lease = 1000, 30 * time.Second
	r := &registry{}
	s := sweeper{jobs: r, every: lease / 3, clock: &r.leases}
	start := time.Now()
	jobs := make([]*job, n)
	for i := range jobs {
		jobs[i] = &job{received: start.Add(time.Duration(i*37%n) * 10 * time.Millisecond)}
		r.add(jobs[i], lease)
	}
	for i := 0; i < n; i += 3 {
		r.remove(jobs[i])
	}
	seen, wait := map[*job]int{}, time.Duration(0)
	for now := start; now.Before(start.Add(lease)); now = now.Add(wait) {
		var due []*renewal
		due, wait = s.due(now, time.Second)
		for _, one := range due {
			if one.at.After(now) || now.Sub(one.at) > time.Second {
				t.Fatalf("given %s late", now.Sub(one.at))
			}
			seen[one.job]++
		}
		if wait <= 0 || wait > time.Second {
			t.Fatalf("next look after %s, want at most 1s", wait)
		}
	}
	for i, j := range jobs {
		if want := min(1, i%3); seen[j] != want {
			t.Fatalf("job %d was given %d times, want %d", i, seen[j], want)
		}
		if i%3 > 0 {
			r.remove(j) // while it is renewed
		}
	}
	if len(r.jobs)+r.leases.Len() > 0 {
		t.Errorf("%d jobs and %d clocks are left", len(r.jobs), r.leases.Len())
	}
}

// What waits costs a look at the clock nothing.
func BenchmarkDue(b *testing.B) {
	r := &registry{}
	s := sweeper{jobs: r, clock: &r.leases}
	for range 10_000 {
		r.add(&job{received: time.Now()}, time.Hour)
	}
	for now := time.Now(); b.Loop(); {
		s.due(now, time.Second)
	}
}
