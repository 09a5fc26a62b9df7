package cli

import (
	"context"
	"encoding/json"
	"errors"

	"callfleet/internal/app/backend"
	"callfleet/internal/call"
	"callfleet/internal/config"
	"callfleet/internal/producer"
)

// embeddedCallSlots is enough for one call and what an earlier command left.
const embeddedCallSlots = 16

// call is "producer call".
func (c *cli) call(ctx context.Context) (code int, err error) {
	o := c.cfg.Call
	params, err := producer.ParseParams(o.Params)
	if err != nil {
		return config.ExitUsage, err
	}
	err = c.with(ctx, embedding{slots: embeddedCallSlots}, func(ctx context.Context, b *backend.Backend) error {
		deps, err := c.deps(ctx, b)
		if err != nil {
			return err
		}
		result, err := producer.Call(ctx, deps, producer.CallOptions{
			Template: o.Name, Method: o.Method, Params: params, Wait: o.Wait, Timeout: o.Timeout, Log: c.rt.Logger,
		})
		if result.ID == "" && err != nil {
			return err
		}
		if o.Wait && err == nil && result.Status != string(call.StatusSucceeded) {
			code = 1
		}
		return errors.Join(err, c.printJSON(result))
	})
	if errors.Is(err, producer.ErrNoOutcome) {
		code = 1
	}
	return code, err
}

func (c *cli) printJSON(v any) error {
	enc := json.NewEncoder(c.std.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
