package window

import (
	"slices"
	"testing"
	"time"
)

func TestOverdueAreOldCallsOfASilentFeed(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	w := New(10, start)
	w.Add("old", Call{Line: 1, Sent: at(0)})
	w.Add("young", Call{Line: 2, Sent: at(50)})
	w.Add("taken", Call{Line: 3, Sent: at(0)})
	if _, ok := w.Take("taken"); !ok {
		t.Fatal("an open call was not taken")
	}
	if _, ok := w.Take("taken"); ok {
		t.Error("a call was taken twice")
	}
	if got := w.Overdue(at(1), at(61), 10); !slices.Equal(got, []string{"old"}) {
		t.Errorf("overdue are %q", got)
	}
	if got := w.Overdue(at(2), at(62), 10); got != nil {
		t.Errorf("asked for again at once: %q", got)
	}
	if got := w.Overdue(at(62), at(122), 10); len(got) != 2 {
		t.Errorf("overdue a minute later are %q", got)
	}
	w.Hear(at(130))
	if got := w.Overdue(at(129), at(189), 10); got != nil {
		t.Errorf("the feed is not silent, but asked for are %q", got)
	}
}

func TestReserveWaitsForRoom(t *testing.T) {
	t.Parallel()
	w := New(2, time.Now())
	w.Add("a", Call{})
	w.Add("b", Call{})
	got := make(chan error)
	go func() { got <- w.Reserve(t.Context(), 1) }()
	select {
	case err := <-got:
		t.Fatalf("a full window let one more in: %v", err)
	default:
	}
	w.Remove("a")
	if err := <-got; err != nil || w.Len() != 1 {
		t.Errorf("%v, %d are open", err, w.Len())
	}
	w.Remove("b")
	if err := w.Reserve(t.Context(), 5); err != nil {
		t.Errorf("an empty window takes any batch: %v", err)
	}
}
