package outage

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/evidence"
)

func TestOneOutageIsTwoLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		l := New(Options{Failing: "failing", Working: "working", Quiet: 10 * time.Second, Logger: evidence.LoggerTo(t, slog.NewTextHandler(&text, nil))})
		fail := func() { l.Failed(t.Context(), errors.New("no answer"), "request", "r-1") }
		wantLines := func(n int) {
			t.Helper()
			if got := strings.Count(text.String(), "\n"); got != n {
				t.Errorf("%d lines, want %d:\n%s", got, n, text.String())
			}
		}
		l.Passed(t.Context())
		wantLines(0)
		for range 5 {
			fail()
			time.Sleep(time.Second)
			l.Passed(t.Context()) // one of many comes through
		}
		wantLines(1)
		if !l.Lasts() {
			t.Error("the outage is over while some still fail")
		}
		time.Sleep(time.Minute)
		fail() // after a long silence: another outage
		wantLines(2)
		time.Sleep(20 * time.Second)
		l.Passed(t.Context())
		l.Passed(t.Context())
		wantLines(3)
		if l.Lasts() || !strings.Contains(text.String(), `level=WARN msg=failing request=r-1 error="no answer" since=0s`) ||
			!strings.Contains(text.String(), "level=INFO msg=working outage=0s") {
			t.Errorf("lasts %t, log:\n%s", l.Lasts(), text.String())
		}
	})
}

func TestLongOutageIsToldEachMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		l := New(Options{Failing: "failing", Quiet: 10 * time.Second, Logger: evidence.LoggerTo(t, slog.NewTextHandler(&text, nil))})
		for range 130 {
			l.Failed(t.Context(), errors.New("no answer"))
			time.Sleep(time.Second)
		}
		if got := strings.Count(text.String(), "msg=failing"); got != 3 {
			t.Errorf("%d lines in 130 s, want 3:\n%s", got, text.String())
		}
		if !strings.Contains(text.String(), "since=2m0s") {
			t.Errorf("no line says for how long:\n%s", text.String())
		}
	})
}
