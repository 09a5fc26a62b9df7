package queuetest

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGoodQueuePasses runs the suite on a queue without a fault.
func TestGoodQueuePasses(t *testing.T) {
	t.Parallel()
	Run(t, memoryBackend(""))
}

// TestEveryClauseCanFail runs each clause on a queue that breaks it.
func TestEveryClauseCanFail(t *testing.T) {
	t.Parallel()
	faults := map[string]string{
		"a published message is received once and gone after ack":  "ack does nothing",
		"a second message with the same id is dropped":             "no dedup",
		"the same id on many publishers at once gives one message": "no dedup",
		"headers and group come as sent":                           "drops headers",
		"bodies come as sent":                                      "wants utf-8",
		"a message above the limits is refused and harms no other": "takes any size",
		"a large batch is published whole":                         "drops what is beyond a batch",
		"bodies may be reused after publish":                       "keeps the caller's bodies",
		"a delayed message comes after its delay":                  "ignores delay",
		"receive returns no more than asked for":                   "returns one more",
		"what was not returned is there for others":                "fetches ahead",
		"a blocked receive wakes when a message comes":             "sleeps on",
		"cancelling receive ends it and loses nothing":             "cancel loses messages",
		"many consumers share the messages":                        "gives to everybody",
		"a lease that ends brings a second attempt":                "forgets on receive",
		"extend keeps the lease":                                   "extend does nothing",
		"settling after the lease passed on says so":               "settles for anybody",
		"retry brings the message at once":                         "retry does nothing",
		"retry with a delay brings it then":                        "retry at once",
		"reject moves the message to the dead-letter queue":        "gives no reason",
		"a message received too often is dead-lettered":            "delivers for ever",
		"settling twice is harmless":                               "rejects again",
		"close ends receive, and deliveries can still be settled":  "close does nothing",
		"depth counts what waits":                                  "counts what is leased",
	}
	for _, c := range clauses() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fault, ok := faults[c.name]
			if !ok {
				t.Fatal("no fault is listed for this clause")
			}
			if !fails(t, c, memoryBackend(fault)) {
				t.Errorf("a queue that %s passes", fault)
			}
		})
	}
}

// fails runs a clause and tells whether it found fault.
func fails(t *testing.T, c clause, b Backend) bool {
	b.Patience = time.Second // some faults show as a wait without end
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() { // Fatal ends the goroutine
		defer close(done)
		c.check(newSession(r, b.withDefaults()))
	}()
	<-done
	return r.failed.Load()
}

// recorder takes failures instead of failing.
type recorder struct {
	testing.TB
	failed atomic.Bool
}

func (r *recorder) Errorf(format string, args ...any) {
	r.TB.Helper()
	r.TB.Logf("found: "+format, args...)
	r.failed.Store(true)
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.TB.Helper()
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) {
	r.TB.Helper()
	r.Fatalf("%v", args)
}
