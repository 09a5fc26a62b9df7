package cli

import (
	"context"
	"encoding/json"
	"errors"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/program"
	"callfleet/internal/call"
	"callfleet/internal/config"
	"callfleet/internal/producer"
)

// embeddedCallSlots is enough for one call and what an earlier command left.
const embeddedCallSlots = 16

// call is "producer call".
func (c *cli) call(ctx context.Context) (int, error) {
	params, err := producer.ParseParams(c.cfg.Call.Params)
	if err != nil {
		return config.ExitUsage, err
	}
	return c.with(ctx, embedding{slots: embeddedCallSlots}, func(ctx context.Context, b *backend.Backend) (int, error) {
		deps, err := c.deps(ctx, b)
		if err != nil {
			return program.ExitFailed, err
		}
		return c.callOne(ctx, b.System, deps, params)
	})
}

func (c *cli) callOne(ctx context.Context, system string, deps producer.Deps, params json.RawMessage) (int, error) {
	o := c.cfg.Call
	// An embedded worker is gone with this command: nobody else makes the call.
	wait := o.Wait || c.embedded
	result, err := producer.Call(ctx, deps, producer.CallOptions{
		Template: o.Name, Method: o.Method, Version: o.Version, Params: params, Wait: wait, Timeout: o.Timeout, System: system, Log: c.rt.Logger,
	})
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
