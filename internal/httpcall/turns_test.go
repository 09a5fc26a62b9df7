package httpcall

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/httpcall/egress/egresstest"
)

// script gives turns as it is told.
type script struct {
	refuse map[int]error // by the number of the attempt, from 1
	hold   bool          // answers 429 and 503
	began  int
	ends   []call.Attempt
}

func (s *script) Begin(context.Context, time.Time) error {
	s.began++
	return s.refuse[s.began]
}

func (s *script) End(a call.Attempt) bool {
	s.ends = append(s.ends, a)
	return s.hold && (a.Status == 429 || a.Status == 503)
}

func TestTurns(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	limited := &call.Failure{Name: call.RateLimited, Cause: "no turn"}
	for name, row := range map[string]struct {
		answers  []int
		script   script
		status   int
		attempts int
		fails    error
	}{
		"held answers do not count": {answers: []int{429, 503, 429, 200}, script: script{hold: true}, status: 200, attempts: 1},
		"others do":                 {answers: []int{500, 500}, script: script{hold: true}, status: 500, attempts: 2},
		"not held they do":          {answers: []int{429, 503}, status: 503, attempts: 2},
		"no first turn":             {script: script{refuse: map[int]error{1: limited}}, fails: limited},
		"what keeps it from being made is returned": {script: script{refuse: map[int]error{1: gone}}, fails: gone},
		"the last answer is the result":             {answers: []int{503}, script: script{hold: true, refuse: map[int]error{2: limited}}, status: 503},
		"interrupted between attempts":              {answers: []int{503}, script: script{hold: true, refuse: map[int]error{2: gone}}, fails: gone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := row.answers
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(answers[0])
				answers = answers[1:]
			}))
			defer api.Close()
			c, err := New(Options{MaxAttempts: 2, BaseDelay: time.Millisecond, Egress: egresstest.Loopback()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			got, err := c.DoInTurn(t.Context(), call.Rendered{Method: "GET", URL: api.URL}, "k", &row.script)
			if !errors.Is(err, row.fails) || err == nil && (got.StatusCode != row.status || got.Attempts != row.attempts) {
				t.Errorf("%+v, %v; want status %d after %d attempts, %v", got, err, row.status, row.attempts, row.fails)
			}
			if len(answers) > 0 || len(row.script.ends) != len(row.answers) {
				t.Errorf("%d answers are left, %d attempts were told of %d", len(answers), len(row.script.ends), len(row.answers))
			}
		})
	}
}

func TestAttemptOf(t *testing.T) {
	t.Parallel()
	after := http.Header{"Retry-After": {"7"}}
	reset := func(remaining, at string) http.Header {
		return http.Header{"X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {at}, "Date": {"Sun, 09 Sep 2001 01:46:41 GMT"}}
	}
	got := []call.Attempt{
		attemptOf(reply{status: 429, header: after}, nil), attemptOf(reply{status: 200, header: after}, nil),
		attemptOf(reply{status: 503}, nil), attemptOf(reply{}, &fault{name: call.Timeout}),
		attemptOf(reply{status: 403, header: after}, nil), attemptOf(reply{status: 403, header: reset("0", "1000000061")}, nil),
		attemptOf(reply{status: 403}, nil), attemptOf(reply{status: 403, header: reset("5", "1000000061")}, nil),
		attemptOf(reply{status: 403, header: reset("0", "soon")}, nil), attemptOf(reply{status: 403, header: reset("0", "60")}, nil),
		attemptOf(reply{status: 403, header: reset("0", "1000000000")}, nil), attemptOf(reply{status: 429, header: reset("0", "1000000061")}, nil),
	}
	want := []call.Attempt{{Status: 429, RetryAfter: 7 * time.Second, Asked: true}, {Status: 200}, {Status: 503}, {Failure: call.Timeout},
		{Status: 403, RetryAfter: 7 * time.Second, Asked: true}, {Status: 403, RetryAfter: time.Minute, Asked: true},
		{Status: 403}, {Status: 403}, {Status: 403}, {Status: 403}, {Status: 403, Asked: true}, {Status: 429},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
