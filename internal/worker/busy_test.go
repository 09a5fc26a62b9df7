package worker_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/queue"
)

// diary is the tasks queue, and who is told about the work: what happens to
// either, in order.
type diary struct {
	queue.Consumer
	mu     sync.Mutex
	events []string // guarded by mu
}

func (d *diary) note(event string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, event)
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

func (d *diary) busy(busy bool) {
	if busy {
		d.note("busy")
	} else {
		d.note("idle")
	}
}

func (d *diary) Receive(ctx context.Context, max int) ([]*queue.Delivery, error) {
	ds, err := d.Consumer.Receive(ctx, max)
	for _, one := range ds {
		one.Settler = noted{one.Settler, d}
	}
	return ds, err
}

type noted struct {
	queue.Settler
	diary *diary
}

func (n noted) Ack(ctx context.Context) error {
	err := n.Settler.Ack(ctx)
	n.diary.note("ack")
	return err
}

func (n noted) Retry(ctx context.Context, delay time.Duration) error {
	err := n.Settler.Retry(ctx, delay)
	n.diary.note("retry")
	return err
}

// Busy is from before the first call until after the last settlement, and told
// once each way.
func TestBusyUntilTheLastTaskIsSettled(t *testing.T) {
	t.Parallel()
	var d *diary
	reached, release := make(chan struct{}, 7), make(chan struct{})
	b := setup(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		d.note("call")
		reached <- struct{}{}
		<-release
		answer(w, r)
	})
	d = &diary{Consumer: b.tasks}
	b.deps.Tasks, b.opts.Busy, b.opts.Slots = d, d.busy, 3
	w, stop := b.run(t)
	b.send(t, 7, nil)
	for range 3 {
		<-reached
	}
	close(release)
	eventually(t, "all answers", func() bool { return w.Stats().Succeeded == 7 && w.Stats().InFlight == 0 })
	must(t, stop())
	var acks, calls int
	busy := false
	for _, event := range d.all() {
		switch event {
		case "ack":
			acks++
		case "call":
			calls++
		default:
			if busy == (event == "busy") {
				t.Errorf("told %q twice", event)
			}
			busy = event == "busy"
			continue
		}
		if !busy {
			t.Errorf("%s while idle", event)
		}
	}
	if busy || acks != 7 || calls != 7 {
		t.Errorf("busy = %t after %d calls and %d acks: %v", busy, calls, acks, d.all())
	}
}

func TestBusyUntilTheCallIsHandedBack(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{})
	b := setup(t, time.Minute, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	})
	d := &diary{Consumer: b.tasks}
	b.deps.Tasks, b.opts.Busy, b.opts.DrainTimeout = d, d.busy, time.Millisecond
	b.send(t, 1, nil)
	_, stop := b.run(t)
	<-reached
	must(t, stop())
	if got := strings.Join(d.all(), " "); got != "busy retry idle" {
		t.Errorf("got %s", got)
	}
}

func TestNobodyIsToldOfAnIdleWorker(t *testing.T) {
	t.Parallel()
	b := setup(t, time.Minute, answer)
	b.opts.Busy = func(busy bool) { t.Errorf("told busy = %t", busy) }
	_, stop := b.run(t)
	must(t, stop())
}

// A drain may last longer than a lease: nobody else gets the call meanwhile,
// and Step Functions hears that it is alive.
func TestLeaseAndHeartbeatsAreKeptWhileDraining(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	began := time.Now()
	b := setup(t, 2*time.Second, func(w http.ResponseWriter, r *http.Request) {
		close(reached) // panics at a second call
		<-release
		answer(w, r)
	})
	b.opts.HeartbeatEvery = 200 * time.Millisecond
	b.opts.DrainTimeout = time.Minute
	b.send(t, 1, nil)
	w, stop := b.run(t)
	<-reached
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	other, _ := b.run(t)
	before := b.sfn.Task("t-1").Beats
	b.sfn.Wait(t, func() bool { return b.sfn.Task("t-1").Beats >= before+15 }) // longer than a lease
	if at := w.Oldest(); !at.After(began) || time.Since(at) < time.Second {
		t.Errorf("the oldest task came at %s", at)
	}
	if at := other.Oldest(); !at.IsZero() {
		t.Errorf("an idle worker has a task of %s", at)
	}
	close(release)
	must(t, <-stopped)
	if s, o := w.Stats(), other.Stats(); s.Succeeded != 1 || s.LeaseLost != 0 || o.Redelivered != 0 {
		t.Errorf("got %+v, and the other worker %+v", s, o)
	}
}
