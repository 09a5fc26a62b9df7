package producer

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/report"
	"callfleet/internal/queue"
)

func TestRunIDsSortByTime(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ids []string
	for _, after := range []time.Duration{0, time.Millisecond, time.Second, time.Hour, 30 * 365 * 24 * time.Hour} {
		id := NewRunID(start.Add(after))
		if err := validateRun(id); err != nil || len(id) != 12 {
			t.Errorf("%q: %v", id, err)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("ids do not sort: %q", ids)
	}
	if a, b := NewRunID(start), NewRunID(start); a == b {
		t.Errorf("two runs of one millisecond are both %s", a)
	}
}

func TestCheckerMakesIDs(t *testing.T) {
	t.Parallel()
	line := func(n int64, id string) callfile.Line {
		return callfile.Line{Number: n, Request: call.Request{ID: id}}
	}
	rows := []struct {
		name  string
		lines []callfile.Line
		want  []string // ids, or "! " and a part of the reason
	}{
		{"by line", []callfile.Line{line(1, ""), line(3, "")}, []string{"r-1", "r-3"}},
		{"own", []callfile.Line{line(1, "17"), line(2, "a_b-C"), line(17, "1")}, []string{"r-17", "r-a_b-C", "r-1"}},
		{"own twice", []callfile.Line{line(1, "a"), line(2, "b"), line(3, "a")}, []string{"r-a", "r-b", "! earlier line"}},
		{"bad characters", []callfile.Line{line(1, "a b"), line(2, "ok")}, []string{"! may hold", "r-ok"}},
		{"too long", []callfile.Line{line(1, strings.Repeat("x", 79)), line(2, strings.Repeat("x", 78))}, []string{"! 80 characters", "r-" + strings.Repeat("x", 78)}},
		{"own, then none", []callfile.Line{line(1, "a"), line(2, "")}, []string{"r-a", "! is missing"}},
		{"none, then own", []callfile.Line{line(1, ""), line(2, "a")}, []string{"r-1", "! the lines before have none"}},
		{"a line that cannot be read decides nothing", []callfile.Line{{Number: 1, Err: errors.New("broken")}, line(2, "a")}, []string{"! broken", "r-a"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := checker{run: "r"}
			for i, l := range row.lines {
				r, err := c.check(l)
				reason, bad := strings.CutPrefix(row.want[i], "! ")
				if bad != (err != nil) || bad && !strings.Contains(err.Error(), reason) || !bad && r.ID != row.want[i] {
					t.Errorf("line %d: %q, %v, want %s", l.Number, r.ID, err, row.want[i])
				}
			}
		})
	}
}

// The memory for duplicates is bounded, and reaches as far back as promised.
func TestRecentIDs(t *testing.T) {
	t.Parallel()
	var r recentIDs
	for i := range recentSize + 5 {
		if !r.add(strconv.Itoa(i)) {
			t.Fatalf("%d is said to be there", i)
		}
	}
	if len(r.seen) != recentSize || len(r.ring) != recentSize {
		t.Errorf("%d ids in a ring of %d", len(r.seen), len(r.ring))
	}
	if r.add("5") {
		t.Error("the oldest id of the ring was not found")
	}
	if !r.add("0") {
		t.Error("an id that was forgotten is found")
	}
}

func TestParseParams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "body.txt")
	if err := os.WriteFile(file, []byte("two\nlines <&>"), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "binary")
	if err := os.WriteFile(binary, []byte{0xff}, 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxParamFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		args []string
		want string // or "! " and parts of the error
	}{
		{nil, `{}`},
		{[]string{"id=42", "empty=", "x=a=b", `q="quoted"`}, `{"id":"42","empty":"","x":"a=b","q":"\"quoted\""}`},
		{[]string{"n:=1.50", "list:=[1, 2]", "yes:=true", `s:="@x"`}, `{"n":1.50,"list":[1, 2],"yes":true,"s":"@x"}`},
		{[]string{"body=@" + file}, `{"body":"two\nlines <&>"}`},
		{[]string{"a", "=b", "c:=", "d=1", "d=2"}, `! param "a": want k=v|has no name|param "c": what follows := is not JSON|param "d": is given twice`},
		{[]string{"f=@" + filepath.Join(dir, "none"), "g=@" + binary, "h=@" + big}, "! no such file|not valid UTF-8|more than 1048576 bytes"},
	}
	for _, row := range rows {
		got, err := ParseParams(row.args)
		parts, bad := strings.CutPrefix(row.want, "! ")
		if !bad && (err != nil || string(got) != row.want || !json.Valid(got)) {
			t.Errorf("%q: %s, %v", row.args, got, err)
		}
		for _, part := range strings.Split(parts, "|") {
			if bad && (err == nil || !strings.Contains(err.Error(), part)) {
				t.Errorf("%q: %v does not tell %q", row.args, err, part)
			}
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("id=42")
	f.Add("n:={\"a\":[1.50]}")
	f.Add("a:b:=null")
	f.Fuzz(func(t *testing.T, arg string) {
		if strings.Contains(arg, "=@") {
			return // would read a file
		}
		if got, err := ParseParams([]string{arg}); err == nil && !json.Valid(got) {
			t.Errorf("%q makes %s", arg, got)
		}
	})
}

func TestEncodeRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := call.Request{ID: "r-1", Template: "t", Method: "GET", Params: json.RawMessage(`{"a":"` + strings.Repeat("x", call.MaxInputBytes) + `"}`)}
	_, err := Workflow{}.Encode(t.Context(), r)
	if f, ok := errors.AsType[*call.Failure](err); !ok || f.Name != BadInput || !strings.Contains(f.Cause, "an execution takes 262144") {
		t.Errorf("%v", err)
	}
	if _, err := NewDirect(&templates{}).Encode(t.Context(), r); err != nil {
		t.Errorf("direct mode knows no such bound: %v", err)
	}
	s := &session{Producer: &Producer{deps: Deps{Queue: small{}, Encoder: Workflow{}}, opts: Options{}.withDefaults()}}
	r.Params = json.RawMessage(`{"a":"` + strings.Repeat("x", 100) + `"}`)
	_, err = s.encode(t.Context(), r)
	if f, ok := errors.AsType[*call.Failure](err); !ok || !strings.Contains(f.Cause, "the queue takes 100") {
		t.Errorf("%v", err)
	}
}

// small is a queue for short messages.
type small struct{ queue.Publisher }

func (small) Limits() queue.Limits { return queue.Limits{MaxBytes: 100} }

// A broker that is away is tried again for a minute, then the run breaks off.
func TestRetryGivesUpAfterAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &session{Producer: &Producer{opts: Options{}.withDefaults()}}
		start, tries := time.Now(), 0
		down := errors.New("broker is down")
		err := s.retry(t.Context(), "publish", func() error { tries++; return down })
		if took := time.Since(start); !errors.Is(err, down) || took < giveUp || took > giveUp+2*maxRetry || tries < 10 {
			t.Errorf("%d tries in %s, %v", tries, took, err)
		}
		tries = 0
		if err := s.retry(t.Context(), "publish", func() error { tries++; return queue.ErrTooLarge }); !errors.Is(err, queue.ErrTooLarge) || tries != 1 {
			t.Errorf("what is for good was tried %d times, %v", tries, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := s.retry(ctx, "publish", func() error { return down }); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestTrackerAsksForOverdueCallsOnly(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	tr := newTracker(10, start)
	tr.add("old", openCall{line: 1, sent: at(0)})
	tr.add("young", openCall{line: 2, sent: at(50)})
	tr.add("taken", openCall{line: 3, sent: at(0)})
	if _, ok := tr.take("taken"); !ok {
		t.Fatal("an open call was not taken")
	}
	if _, ok := tr.take("taken"); ok {
		t.Error("a call was taken twice")
	}
	if got := tr.overdue(at(1), at(61), 10); !slices.Equal(got, []string{"old"}) {
		t.Errorf("overdue are %q", got)
	}
	if got := tr.overdue(at(2), at(62), 10); got != nil {
		t.Errorf("asked for again at once: %q", got)
	}
	if got := tr.overdue(at(62), at(122), 10); len(got) != 2 {
		t.Errorf("overdue a minute later are %q", got)
	}
	tr.hear(at(130))
	if got := tr.overdue(at(129), at(189), 10); got != nil {
		t.Errorf("the feed is not silent, but asked for are %q", got)
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		sum  report.Summary
		err  error
		want int
	}{
		{"all ok", report.Summary{OK: 3}, nil, 0},
		{"some failed", report.Summary{OK: 3, Failed: 1}, nil, 1},
		{"no outcome", report.Summary{Open: 1}, nil, 1},
		{"interrupted", report.Summary{Failed: 1, Interrupted: true}, nil, 130},
		{"broken off", report.Summary{OK: 3}, errors.New("disk full"), 1},
		{"bad input", report.Summary{}, &Mistakes{}, 2},
		{"changed", report.Summary{}, journal.ErrChanged, 2},
	}
	for _, row := range rows {
		if got := ExitCode(&row.sum, row.err); got != row.want {
			t.Errorf("%s: %d, want %d", row.name, got, row.want)
		}
	}
}

func FuzzResultOf(f *testing.F) {
	f.Add(`{"statusCode":200,"attempts":2,"durationMs":7}`, "", "")
	f.Add(`[1]`, "Callfleet.StatusCode.404", "x; attempts=3 durationMs=9")
	f.Add(`{"statusCode":1e99}`, "Callfleet.StatusCode.99999999999999999999", "attempts=")
	f.Fuzz(func(t *testing.T, output, name, cause string) {
		o := call.Outcome{ID: "r-1", Status: call.StatusSucceeded, Error: name, Cause: cause}
		if json.Valid([]byte(output)) {
			o.Output = json.RawMessage(output)
		}
		r := resultOf(o, openCall{line: 1})
		if _, err := json.Marshal(r); err != nil || r.Attempts < 0 && cause != "" && output == "" {
			t.Errorf("%+v: %v", r, err)
		}
	})
}
