// Package report counts what became of a run's calls in bounded memory, shows
// progress while it runs and sums up when it has ended.
package report

import (
	"sort"
	"strconv"
	"sync"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/producer/journal"
)

// maxReasons bounds the failure reasons counted apart: error names come from
// state machines.
const maxReasons = 100

// otherReason counts what is beyond maxReasons.
const otherReason = "other"

// Stats counts results. It is safe for concurrent use; the zero value is empty.
type Stats struct {
	mu      sync.Mutex
	ok      int64
	failed  map[string]int64 // by reason
	fails   int64
	retries int64
	calls   Histogram
	totals  Histogram
}

// Add counts one result.
func (s *Stats) Add(r journal.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Status == string(call.StatusSucceeded) {
		s.ok++
	} else {
		s.fail(Reason(r))
	}
	if r.Attempts > 1 {
		s.retries += int64(r.Attempts - 1)
	}
	if d := r.Durations; d != nil {
		s.totals.Add(time.Duration(d.Total) * time.Millisecond)
		if r.Attempts > 0 || r.StatusCode != 0 {
			s.calls.Add(time.Duration(d.Call) * time.Millisecond)
		}
	}
}

func (s *Stats) fail(reason string) {
	if s.failed == nil {
		s.failed = map[string]int64{}
	}
	if _, known := s.failed[reason]; !known && len(s.failed) >= maxReasons {
		reason = otherReason
	}
	s.failed[reason]++
	s.fails++
}

// Reason is why a result is not a success: the status code if the API
// answered, else the error's name, else the status of the execution.
func Reason(r journal.Result) string {
	switch {
	case r.StatusCode != 0:
		return "HTTP " + strconv.Itoa(r.StatusCode)
	case r.Error != "":
		return r.Error
	}
	return r.Status
}

// Counts are the numbers of finished lines.
func (s *Stats) Counts() (ok, failed int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ok, s.fails
}

// Latency are percentiles of a duration.
type Latency struct{ P50, P95, P99 time.Duration }

// Failures are the calls that failed for one reason.
type Failures struct {
	Reason string
	Count  int64
}

// Summary is what a run came to.
type Summary struct {
	Run         string
	OK, Failed  int64
	ByReason    []Failures // the most first
	Retries     int64
	Call, Total Latency
	// Here counts the lines that were finished by this process, in Elapsed: a
	// resumed run has others.
	Here    int64
	Elapsed time.Duration
	// Open counts published calls without an outcome yet.
	Open        int64
	Interrupted bool
	// AlreadyDone says that there was nothing left to do.
	AlreadyDone bool
	Results     string // path
	Resume      string // the command that goes on, "" when all is done
}

// Fill takes the counts over.
func (s *Stats) Fill(sum *Summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum.OK, sum.Failed, sum.Retries = s.ok, s.fails, s.retries
	sum.Call, sum.Total = s.calls.Latency(), s.totals.Latency()
	sum.ByReason = nil
	for reason, n := range s.failed {
		sum.ByReason = append(sum.ByReason, Failures{reason, n})
	}
	sort.Slice(sum.ByReason, func(i, j int) bool {
		a, b := sum.ByReason[i], sum.ByReason[j]
		if a.Count != b.Count {
			return a.Count > b.Count
		}
		return a.Reason < b.Reason
	})
}
