package requestid

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
)

func TestRunIDsSortByTime(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ids []string
	for _, after := range []time.Duration{0, time.Millisecond, time.Second, time.Hour, 30 * 365 * 24 * time.Hour} {
		id := NewRun(start.Add(after))
		if err := ValidateRun(id); err != nil || len(id) != 12 {
			t.Errorf("%q: %v", id, err)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("ids do not sort: %q", ids)
	}
	if a, b := NewRun(start), NewRun(start); a == b {
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
			c := Checker{Run: "r"}
			for i, l := range row.lines {
				r, err := c.Check(l)
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
