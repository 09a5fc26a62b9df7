package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Service is one part of a program that is started, runs and is stopped. Every
// function is optional; a service has at least one of Start, Run and Stop.
type Service struct {
	// Name is what errors, logs and readiness checks call it.
	Name string
	// Start does what must be done before the next service may start. Its
	// context ends when the group is asked to stop, and when the service is
	// ready: it is not for what goes on afterwards.
	Start func(ctx context.Context) error
	// Run does the service's work until ctx ends, then finishes what it has
	// begun and returns; DrainContext(ctx) bounds that. A nil return before ctx
	// ends stops the whole group: the program's work is done.
	Run func(ctx context.Context) error
	// Ready returns nil when the service can do its work, or why not. The next
	// service starts at the first nil. It is asked again on every readiness
	// request, must be quick and safe for concurrent use.
	Ready func(ctx context.Context) error
	// Stop releases what Start took. It is called once after Run has returned
	// if Start has succeeded, with what is left of the drain time.
	Stop func(ctx context.Context) error
}

func (s Service) validate() error {
	switch {
	case s.Name == "":
		return errors.New("service without a name")
	case s.Start == nil && s.Run == nil && s.Stop == nil:
		return fmt.Errorf("service %s has nothing to start, run or stop", s.Name)
	}
	return nil
}

// Why a group stops, or stops waiting. ErrForced and ErrDrainTimeout are also
// the cause of a drain context that has ended early.
var (
	// ErrForced says that a second signal ended the drain.
	ErrForced = errors.New("stopped at once by a second signal")
	// ErrDrainTimeout says that services still ran at the drain deadline.
	ErrDrainTimeout = errors.New("drain deadline passed")

	errFinished = errors.New("a service has finished the program's work")
)

// SignalError is the cause (context.Cause) of a service's context that ended
// because of a signal.
type SignalError struct{ Signal os.Signal }

// Error names the signal.
func (e *SignalError) Error() string { return "signal: " + e.Signal.String() }

// Notify returns a channel of the signals that ask a program to stop, SIGINT
// and SIGTERM, for Options.Signals. stop gives the signals their usual effect
// back.
func Notify() (signals <-chan os.Signal, stop func()) {
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	return ch, func() { signal.Stop(ch) }
}

type drainKey struct{}

// DrainContext returns the context that bounds a service's last work: it goes
// on when ctx, the context of Run, has ended, and ends with the group's drain
// time. Outside a group it never ends.
func DrainContext(ctx context.Context) context.Context {
	if d, ok := ctx.Value(drainKey{}).(context.Context); ok {
		return d
	}
	return context.WithoutCancel(ctx)
}
