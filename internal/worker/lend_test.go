package worker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// What is lent and what tasks have is never more than there are slots; a task
// waits until a borrower is done, and before others that want to borrow.
func TestSlotsAreLentWhileTheyAreFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(3, nil)
		s.take(1) // a batch
		for range 2 {
			if err := s.Borrow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		third := make(chan error, 1)
		go func() { third <- s.Borrow(t.Context()) }()
		synctest.Wait()
		if len(third) != 0 || !s.Keep() || s.inUse() != 3 || s.available() != 2 {
			t.Fatalf("borrowed %d, %d in use, %d free for tasks", len(third), s.inUse(), s.available())
		}
		s.take(1) // a task comes
		task := make(chan error, 1)
		go func() { task <- s.enter(t.Context()) }()
		synctest.Wait()
		if len(task) != 0 || s.Keep() || s.inUse() != 3 {
			t.Fatalf("the task began with %d in use, borrowers may keep on: %v", s.inUse(), s.Keep())
		}
		s.GiveBack()
		if err := <-task; err != nil || !s.Keep() {
			t.Fatalf("task: %v, the other borrower may keep on: %v", err, s.Keep())
		}
		synctest.Wait()
		if len(third) != 0 {
			t.Fatal("lent a slot that a task has")
		}
		s.release() // the task ends
		if err := <-third; err != nil || s.inUse() != 3 {
			t.Fatalf("lent: %v, %d in use", err, s.inUse())
		}
		s.GiveBack()
		s.GiveBack()
		s.release()
		if s.inUse() != 0 || s.available() != 3 {
			t.Errorf("%d in use, %d free", s.inUse(), s.available())
		}
	})
}

// Who stops waiting leaves nothing behind.
func TestSlotsForgetWhoStopsWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, nil)
		if err := s.Borrow(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 2)
		s.take(1)
		go func() { ended <- s.enter(ctx) }()
		go func() { ended <- s.Borrow(ctx) }()
		synctest.Wait()
		cancel(errDrained)
		for range 2 {
			if err := <-ended; !errors.Is(err, errDrained) {
				t.Errorf("got %v", err)
			}
		}
		s.release()
		s.GiveBack()
		if s.inUse() != 0 || s.Borrow(t.Context()) != nil {
			t.Errorf("%d in use", s.inUse())
		}
	})
}

// A worker is busy while a call is made, be it in a slot that is lent: the task
// of the batch itself may have given its slot up.
func TestLentSlotsKeepTheWorkerBusy(t *testing.T) {
	t.Parallel()
	var edges []bool
	s := newSlots(2, func(busy bool) { edges = append(edges, busy) })
	s.take(1)
	if err := s.Borrow(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.release() // the batch's own call waits for its turn
	if want := []bool{true}; !slices.Equal(edges, want) {
		t.Errorf("edges %v, want %v", edges, want)
	}
	s.GiveBack()
	if want := []bool{true, false}; !slices.Equal(edges, want) {
		t.Errorf("edges %v, want %v", edges, want)
	}
}

// A call that comes back gets the slot of a task that has ended without a call,
// but waits for who has borrowed it, as that task would have.
func TestWhoComesBackWaitsForABorrower(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1, nil)
		if err := s.Borrow(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.take(1) // a task comes
		back, gone := make(chan error, 1), make(chan error, 1)
		leaving, leave := context.WithCancel(t.Context())
		go func() { back <- s.reclaim(t.Context()) }()
		synctest.Wait()
		go func() { gone <- s.reclaim(leaving) }()
		synctest.Wait()
		s.release() // the task is no good
		synctest.Wait()
		if len(back) != 0 || s.inUse() != 1 {
			t.Fatalf("%d came back while the only slot is lent, %d in use", len(back), s.inUse())
		}
		leave()
		if err := <-gone; err == nil {
			t.Error("came back without a slot")
		}
		s.GiveBack()
		if err := <-back; err != nil {
			t.Fatal(err)
		}
		s.release()
		if s.inUse() != 0 || s.available() != 1 {
			t.Errorf("%d in use, %d free at the end", s.inUse(), s.available())
		}
	})
}
