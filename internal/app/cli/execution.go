package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/call"
	"callfleet/internal/stepfn"
)

const timeLayout = "2006-01-02 15:04:05.000"

// executionList is "producer execution ls".
func (c *cli) executionList(ctx context.Context) (int, error) {
	o := c.cfg.Execution.Ls
	return 0, c.with(ctx, embedding{}, func(ctx context.Context, b *backend.Backend) error {
		out := tabwriter.NewWriter(c.std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "ID\tSTATUS\tSTARTED\tTOOK")
		n := 0
		for e, err := range b.Executions.List(ctx, call.Status(strings.ToUpper(o.Status))) {
			if err != nil {
				return fmt.Errorf("list executions: %w", err)
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", e.Name, e.Status, e.Started.Format(timeLayout), took(e))
			if n++; n == o.Limit {
				break
			}
		}
		return out.Flush()
	})
}

func took(e stepfn.Execution) string {
	if e.Stopped.IsZero() {
		return "-"
	}
	return e.Stopped.Sub(e.Started).Round(time.Millisecond).String()
}

// executionShow is "producer execution show".
func (c *cli) executionShow(ctx context.Context) (int, error) {
	id := c.cfg.Execution.Show.ID
	return 0, c.with(ctx, embedding{}, func(ctx context.Context, b *backend.Backend) error {
		e, err := b.Executions.Describe(ctx, id)
		if err != nil {
			return notFound(err, id)
		}
		writeExecution(c.std.Out, e)
		out := tabwriter.NewWriter(c.std.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "\n#\tPREV\tAFTER\tEVENT\tSTATE\tDETAIL")
		for ev, err := range b.Executions.History(ctx, id) {
			if err != nil {
				return fmt.Errorf("read history of %s: %w", id, err)
			}
			fmt.Fprintf(out, "%d\t%d\t%s\t%s\t%s\t%s\n", ev.ID, ev.Previous,
				ev.Time.Sub(e.Started).Round(time.Millisecond), ev.Type, ev.State, detail(ev))
		}
		return out.Flush()
	})
}

func writeExecution(w io.Writer, e stepfn.Execution) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer out.Flush()
	fmt.Fprintf(out, "execution\t%s\nstatus\t%s\nstarted\t%s\n", e.ARN, e.Status, e.Started.Format(timeLayout))
	if !e.Stopped.IsZero() {
		fmt.Fprintf(out, "stopped\t%s (after %s)\n", e.Stopped.Format(timeLayout), took(e))
	}
	for _, row := range []struct{ name, value string }{
		{"error", e.Error}, {"cause", e.Cause}, {"input", string(e.Input)}, {"output", string(e.Output)},
	} {
		if row.value != "" {
			fmt.Fprintf(out, "%s\t%s\n", row.name, row.value)
		}
	}
}

// detail is what an event says in one line. Parameters hold task tokens, which
// settle a task for whoever has them: they are not shown.
func detail(ev stepfn.Event) string {
	var parts []string
	if ev.Resource != "" {
		parts = append(parts, ev.Resource)
	}
	if ev.Error != "" || ev.Cause != "" {
		parts = append(parts, strings.TrimSuffix(ev.Error+": "+ev.Cause, ": "))
	}
	for _, text := range []json.RawMessage{ev.Output, ev.Input} {
		if len(text) > 0 {
			parts = append(parts, shorten(text))
			break
		}
	}
	return strings.Join(parts, " ")
}

func shorten(text json.RawMessage) string {
	const most = 100
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		b.Reset()
		b.Write(text)
	}
	if r := []rune(b.String()); len(r) > most {
		return string(r[:most]) + "…"
	}
	return b.String()
}

func notFound(err error, id string) error {
	if errors.Is(err, stepfn.ErrNotFound) {
		return fmt.Errorf("there is no execution %s; \"producer execution ls\" lists what there is", id)
	}
	return err
}

// executionStop is "producer execution stop".
func (c *cli) executionStop(ctx context.Context) (int, error) {
	o := c.cfg.Execution.Stop
	return 0, c.with(ctx, embedding{}, func(ctx context.Context, b *backend.Backend) error {
		if err := b.Executions.Stop(ctx, o.ID, "Callfleet.Stopped", o.Reason); err != nil {
			return notFound(err, o.ID)
		}
		fmt.Fprintf(c.std.Out, "stopped %s\n", o.ID)
		return nil
	})
}
