package engine

import (
	"context"
	"testing"
	"time"

	"callfleet/internal/localsfn/store"
	"callfleet/internal/queue"
)

// nowhere is a feed that the test publishes for.
type nowhere struct{}

var _ queue.Publisher = nowhere{}

func (nowhere) Publish(context.Context, ...queue.Message) error { return nil }
func (nowhere) Limits() queue.Limits                            { return queue.Limits{} }

// outboxAt is an outbox that knows of the log up to a sequence.
func outboxAt(seq uint64) *outbox {
	o := newOutbox(&Engine{o: Options{Events: nowhere{}}})
	o.appended = seq
	return o
}

func key(name string) store.Key { return store.Key{Machine: "m", Name: name} }

// entered says that an end is in the log, its message left to be made later.
func (o *outbox) entered(c *closing, seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.enqueue(c, seq)
}

func (o *outbox) want(t *testing.T, when string, mark uint64) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if got := o.mark(); got != mark {
		t.Errorf("%s the mark is %d, want %d", when, got, mark)
	}
}

// The mark never passes an end that is not published, also while nobody knows
// which sequence that end got.
func TestMarkStaysBelowWhatIsOwed(t *testing.T) {
	t.Parallel()
	o := outboxAt(10)
	o.want(t, "with nothing owed", 10)
	a, b := o.begin(key("a")), o.begin(key("b"))
	o.entered(b, 12)
	o.want(t, "while a's sequence is unknown", 10)
	batch := o.next()
	o.settled(batch)
	o.want(t, "with b published and a on its way", 10)
	o.entered(a, 11)
	o.want(t, "with a in the log", 10)
	o.settled(o.next())
	o.want(t, "with all published", 12)
}

func TestMarkWaitsForAnAppendInDoubt(t *testing.T) {
	t.Parallel()
	o := outboxAt(10)
	c := o.begin(key("a"))
	o.failed(c, false)
	other := o.begin(key("b"))
	o.entered(other, 20)
	o.settled(o.next())
	o.want(t, "while a is in doubt", 10)
	if !o.found(key("a"), 15, true) {
		t.Error("the end in doubt was found and not recognised")
	}
	o.want(t, "with a found", 14)
	if o.found(key("a"), 15, true) {
		t.Error("the same end was found twice")
	}
	o.settled(o.next())
	o.want(t, "with a published", 20)
}

func TestMarkForgetsAnAppendThatFailed(t *testing.T) {
	t.Parallel()
	o := outboxAt(10)
	o.failed(o.begin(key("conflict")), true)
	o.failed(o.begin(key("lost")), false)
	o.found(key("lost"), 30, false) // the log has somebody else's end, or none
	o.entered(o.begin(key("b")), 20)
	o.settled(o.next())
	o.want(t, "with nothing owed", 20)
}

func TestInheritedEndsDoNotHoldTheMark(t *testing.T) {
	t.Parallel()
	o := outboxAt(10)
	o.inherit(key("old"), 5)
	o.want(t, "with an inherited end", 10)
	if o.inherited != 1 {
		t.Errorf("%d inherited", o.inherited)
	}
	o.settled(o.next())
	if o.inherited != 0 {
		t.Errorf("%d inherited after publishing", o.inherited)
	}
}

func TestInstancesAreReplacedOnceTheyOweNothing(t *testing.T) {
	t.Parallel()
	o := outboxAt(10)
	now := time.Now()
	old := store.Instance{ID: "old", At: now.Add(-2 * instanceDead)}
	alive := store.Instance{ID: "alive", At: now}
	later := store.Instance{ID: "later", At: old.At} // it came after this engine
	o.adopt([]store.Instance{old, alive})
	o.inherit(key("x"), 5)
	if o.replaced(old, now) {
		t.Error("replaced while an end is owed for it")
	}
	o.settled(o.next())
	if !o.replaced(old, now) || o.replaced(alive, now) || o.replaced(later, now) {
		t.Errorf("old %v, alive %v, later %v", o.replaced(old, now), o.replaced(alive, now), o.replaced(later, now))
	}
}

func TestNoEventsAreOwedWithoutAFeed(t *testing.T) {
	t.Parallel()
	o := newOutbox(&Engine{})
	if c := o.begin(key("a")); c != nil {
		t.Errorf("begin returned %v", c)
	}
	o.inherit(key("a"), 1)
	o.announce(key("a"), &queue.Message{})
	if len(o.line) != 0 {
		t.Errorf("%d in line", len(o.line))
	}
}
