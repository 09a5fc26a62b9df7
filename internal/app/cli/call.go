package cli

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/program"
	"callfleet/internal/call"
	"callfleet/internal/config"
	"callfleet/internal/producer"
	"callfleet/internal/producer/param"
	"callfleet/internal/producer/requestid"
)

// embeddedCallSlots is enough for one call and what an earlier command left.
const embeddedCallSlots = 16

// call is "producer call".
func (c *cli) call(ctx context.Context) (int, error) {
	params, err := param.Parse(c.cfg.Call.Params)
	if err != nil {
		return config.ExitUsage, err
	}
	run := requestid.NewRun(time.Now())
	return c.with(ctx, embedding{slots: embeddedCallSlots}, func(ctx context.Context, b *backend.Backend) (int, error) {
		deps, err := c.deps(ctx, b)
		if err != nil {
			return program.ExitFailed, err
		}
		claims := c.claims(b)
		object, err := params.JSON(ctx, func(ctx context.Context, file string) (call.BlobRef, error) {
			return claims.PutFile(ctx, run+"-1", file)
		})
		if err != nil {
			return program.ExitFailed, err
		}
		return c.callOne(ctx, deps, producer.CallOptions{Run: run, Params: object, System: b.System})
	})
}

func (c *cli) callOne(ctx context.Context, deps producer.Deps, options producer.CallOptions) (int, error) {
	o := c.cfg.Call
	// An embedded worker is gone with this command: nobody else makes the call.
	wait := o.Wait || c.embedded
	options.Template, options.Method, options.Version, options.Wait, options.Timeout = o.Name, o.Method, o.Version, wait, o.Timeout
	options.ClaimAbove, options.Log = c.cfg.ClaimAbove, c.rt.Logger
	result, err := producer.Call(ctx, deps, options)
	if result.ID == "" {
		return program.ExitFailed, err
	}
	err = errors.Join(err, c.printJSON(result))
	switch {
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		c.say("interrupted: the call goes on; \"producer execution show %s\" tells how", result.ID)
		return program.ExitInterrupted, nil
	case err != nil, wait && result.Status != string(call.StatusSucceeded):
		return program.ExitFailed, err
	case !wait:
		c.say("published; \"producer execution show %s\" tells how it goes, --wait waits for the outcome", result.ID)
	}
	return program.ExitOK, nil
}

func (c *cli) printJSON(v any) error {
	enc := json.NewEncoder(c.std.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
