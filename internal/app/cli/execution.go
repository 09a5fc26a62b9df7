package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"text/tabwriter"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/cli/show"
	"callfleet/internal/call"
	"callfleet/internal/stepfn"
)

// executionList is "producer execution ls".
func (c *cli) executionList(ctx context.Context) (int, error) {
	o := c.cfg.Execution.Ls
	return c.with(ctx, embedding{}, func(ctx context.Context, b *backend.Backend) (int, error) {
		out := tabwriter.NewWriter(c.std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "ID\tSTATUS\tSTARTED\tTOOK")
		n := 0
		for e, err := range b.Executions.List(ctx, call.Status(strings.ToUpper(o.Status))) {
			if err != nil {
				return 1, c.explain(err)
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", e.Name, e.Status, e.Started.Format(show.TimeLayout), show.Took(e))
			if n++; n == o.Limit {
				break
			}
		}
		return 0, out.Flush()
	})
}

// executionShow is "producer execution show".
func (c *cli) executionShow(ctx context.Context) (int, error) {
	id := c.cfg.Execution.Show.ID
	return c.with(ctx, embedding{}, func(ctx context.Context, b *backend.Backend) (int, error) {
		e, err := b.Executions.Describe(ctx, id)
		if err != nil {
			return 1, c.notFound(err, id)
		}
		var events []stepfn.Event
		for ev, err := range b.Executions.History(ctx, id) {
			if err != nil {
				return 1, c.explain(err)
			}
			events = append(events, ev)
		}
		return 0, show.Execution(c.std.Out, e, events)
	})
}

// executionStop is "producer execution stop".
func (c *cli) executionStop(ctx context.Context) (int, error) {
	o := c.cfg.Execution.Stop
	return c.with(ctx, embedding{}, func(ctx context.Context, b *backend.Backend) (int, error) {
		e, err := b.Executions.Describe(ctx, o.ID)
		if err == nil && e.Status.Ended() {
			fmt.Fprintf(c.std.Out, "%s had ended before: %s\n", o.ID, e.Status)
			return 0, nil
		}
		if err == nil {
			err = b.Executions.Stop(ctx, o.ID, "Callfleet.Stopped", o.Reason)
		}
		if err != nil {
			return 1, c.notFound(err, o.ID)
		}
		fmt.Fprintf(c.std.Out, "stopped %s\n", o.ID)
		return 0, nil
	})
}

func (c *cli) notFound(err error, id string) error {
	if errors.Is(err, stepfn.ErrNotFound) {
		return fmt.Errorf("there is no execution %s; \"producer execution ls\" lists what there is", id)
	}
	return c.explain(err)
}

// explain adds what to do to an error of a server that is not there.
func (c *cli) explain(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no Step Functions API answers at %s: start one with \"stepfunctions\", or say with CALLFLEET_STEPFUNCTIONS where it is (%w)",
			orDefault(c.cfg.StepFunctions.String(), c.stepFunctions), syscall.ECONNREFUSED)
	}
	return err
}
