package cli

import (
	"context"
	"fmt"
	"text/tabwriter"

	"callfleet/internal/app/backend"
)

// setup is "producer setup".
func (c *cli) setup(ctx context.Context) (int, error) {
	return c.with(ctx, embedding{}, plain(func(ctx context.Context, b *backend.Backend) error {
		all, err := b.Setup(ctx, backend.SetupOptions{Lease: c.cfg.Setup.Lease, Role: c.cfg.Setup.Role})
		table := tabwriter.NewWriter(c.std.Out, 0, 0, 2, ' ', 0)
		for _, r := range all {
			state := "exists"
			if r.Made {
				state = "made"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\n", r.Kind, r.Name, state)
		}
		if len(all) == 0 && err == nil {
			fmt.Fprintln(table, "nothing to make: queues, templates and state machine are made on use")
		}
		if werr := table.Flush(); err == nil {
			err = werr
		}
		return err
	}))
}
