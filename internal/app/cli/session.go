package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/program"
	"callfleet/internal/lifecycle"
)

// embedding says what a command needs in this process when no server runs.
type embedding struct {
	always bool // even if a server runs
	slots  int  // of a worker; 0 is none
}

// work is what a command does with the backend. It returns the exit code; with
// an error it is at least 1.
type work func(context.Context, *backend.Backend) (code int, err error)

// plain is work whose exit code says only whether there was an error.
func plain(do func(context.Context, *backend.Backend) error) work {
	return func(ctx context.Context, b *backend.Backend) (int, error) {
		if err := do(ctx, b); err != nil {
			return program.ExitFailed, err
		}
		return program.ExitOK, nil
	}
}

// embeddedDrain is the time for calls in flight when an embedding command ends:
// what does not fit is taken up by the next one on the same directory.
const embeddedDrain = 2 * time.Second

// with opens what the settings name, or joins the servers on this machine, or
// embeds them, and runs do. SIGINT and SIGTERM end do's context; do has the
// drain time to return.
func (c *cli) with(ctx context.Context, e embedding, do work) (code int, err error) {
	group, stop := c.rt.NewGroup(embeddedDrain + 15*time.Second)
	defer stop()
	open, services, err := c.reach(ctx, e)
	if err != nil {
		return program.ExitFailed, err
	}
	var b *backend.Backend
	services = append(services, lifecycle.Service{
		Name:  "backend",
		Start: func(ctx context.Context) (err error) { b, err = open(ctx); return err },
		Stop:  func(context.Context) error { b.Close(); return nil },
	})
	j := newJob()
	group.Add(j.watch(services)...)
	group.Add(j.service(c.cfg.Command, func(ctx context.Context) (int, error) { return do(ctx, b) }))
	return j.outcome(group.Run(ctx), c.rt)
}

// reach decides where the backend is and says so, unless the user has.
func (c *cli) reach(ctx context.Context, e embedding) (opener, []lifecycle.Service, error) {
	switch {
	case e.always, c.nothingConfigured() && !c.serverRuns(ctx):
		return c.embed(ctx, e)
	case c.nothingConfigured():
		c.say("using the server on this machine, %s", c.stepFunctions)
	}
	return func(ctx context.Context) (*backend.Backend, error) { return backend.Open(ctx, c.joined()) }, nil, nil
}

// say tells the user something that is no result.
func (c *cli) say(format string, args ...any) { fmt.Fprintf(c.std.Err, format+"\n", args...) }

// job is the command as a service of a group, and how it ended. What the group
// returns is wrapped for logs; a user wants the command's own error.
type job struct {
	ended  chan ending
	failed chan error // the first service that did not start
}

// ending is how a command ended.
type ending struct {
	code  int
	err   error
	early bool // before it was asked to
}

func newJob() *job { return &job{ended: make(chan ending, 1), failed: make(chan error, 1)} }

// watch keeps the error of a service that does not start.
func (j *job) watch(services []lifecycle.Service) []lifecycle.Service {
	for i := range services {
		start := services[i].Start
		if start == nil {
			continue
		}
		services[i].Start = func(ctx context.Context) error {
			err := start(ctx)
			if err != nil {
				select {
				case j.failed <- err:
				default:
				}
			}
			return err
		}
	}
	return services
}

func (j *job) service(name string, do func(context.Context) (int, error)) lifecycle.Service {
	return lifecycle.Service{Name: name, Run: func(ctx context.Context) error {
		code, err := do(ctx)
		j.ended <- ending{code, err, ctx.Err() == nil}
		return err
	}}
}

// outcome is what the user gets, given what the group returned.
func (j *job) outcome(err error, rt *program.Runtime) (int, error) {
	select {
	case e := <-j.ended:
		switch {
		case e.err != nil:
			return max(e.code, program.ExitFailed), e.err
		case err != nil && e.early:
			rt.Logger.Warn("the command is done, but what it embeds did not stop cleanly", "error", err)
		case err != nil && !errors.Is(err, lifecycle.ErrForced):
			return program.ExitFailed, err // what it used broke down under it
		}
		return e.code, nil
	default:
	}
	select {
	case cause := <-j.failed:
		return program.ExitFailed, cause
	default:
	}
	if err == nil || errors.Is(err, lifecycle.ErrForced) {
		return program.ExitInterrupted, err
	}
	return program.ExitFailed, err
}
