package httpcall

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"

	"callfleet/internal/httpcall/egress"
)

// validate reports all mistakes at once.
func (o Options) validate() error {
	var errs []error
	for _, f := range []struct {
		name string
		n    int64
	}{
		{"Slots", int64(o.Slots)}, {"Timeout", int64(o.Timeout)}, {"DialTimeout", int64(o.DialTimeout)},
		{"TLSTimeout", int64(o.TLSTimeout)}, {"HeaderTimeout", int64(o.HeaderTimeout)},
		{"MaxAttempts", int64(o.MaxAttempts)}, {"BaseDelay", int64(o.BaseDelay)}, {"MaxDelay", int64(o.MaxDelay)},
		{"MaxBody", int64(o.MaxBody)}, {"MaxClaim", o.MaxClaim}, {"MaxSelect", int64(o.MaxSelect)}, {"MaxRedirects", int64(o.MaxRedirects)},
	} {
		if f.n < 0 {
			errs = append(errs, fmt.Errorf("option %s: must not be negative", f.name))
		}
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	o.Slots = cmp.Or(o.Slots, 256)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.DialTimeout = cmp.Or(o.DialTimeout, 10*time.Second)
	o.TLSTimeout = cmp.Or(o.TLSTimeout, 10*time.Second)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 4)
	o.BaseDelay = cmp.Or(o.BaseDelay, 500*time.Millisecond)
	o.MaxDelay = cmp.Or(o.MaxDelay, 30*time.Second)
	o.MaxBody = cmp.Or(o.MaxBody, 200<<10)
	o.MaxClaim = cmp.Or(o.MaxClaim, 100_000_000)
	o.MaxSelect = cmp.Or(o.MaxSelect, 8<<20)
	o.MaxRedirects = cmp.Or(o.MaxRedirects, 10)
	o.UserAgent = cmp.Or(o.UserAgent, "callfleet")
	if o.Egress == nil {
		o.Egress = egress.New(egress.Options{})
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	return o
}
