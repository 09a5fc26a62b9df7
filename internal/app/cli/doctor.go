package cli

import (
	"context"
	"fmt"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/doctor"
	"callfleet/internal/app/program"
)

// doctor is "producer doctor".
func (c *cli) doctor(ctx context.Context) (int, error) {
	o := c.cfg.Doctor
	return c.with(ctx, embedding{}, func(ctx context.Context, b *backend.Backend) (int, error) {
		worst := doctor.Run(ctx, b, doctor.Options{
			Heartbeat: o.Heartbeat, Lease: o.Lease, TaskTimeout: o.TaskTimeout,
			StartRate: o.StartRate.Fixed(), ReportRate: o.ReportRate.Fixed(),
			Report: func(f doctor.Finding) { fmt.Fprintf(c.std.Out, "%-4s  %-13s  %s\n", f.Level, f.Subject, f.Text) },
		})
		if worst == doctor.Fail {
			return program.ExitFailed, nil
		}
		return program.ExitOK, nil
	})
}
