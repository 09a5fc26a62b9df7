package stepfn

import (
	"context"
	"math"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"callfleet/internal/pace"
)

// scope names the instrumentation.
const scope = "callfleet/internal/stepfn"

// operationStat counts one operation.
type operationStat struct{ throttled atomic.Uint64 }

// observe registers the counters and limits of the operations that are paced,
// and the throttled starts, which their caller paces.
func (c *Client) observe(mp metric.MeterProvider) error {
	meter := mp.Meter(scope)
	_, err := meter.Int64ObservableCounter("callfleet.stepfunctions.throttled",
		metric.WithUnit("{request}"), metric.WithDescription("Requests that Step Functions refused for the quota, by operation."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(c.startStat.throttled.Load()), of("StartExecution"))
			for _, op := range []*operation{c.success, c.failure, c.heartbeat} {
				o.Observe(int64(op.stat.throttled.Load()), of(op.name))
			}
			return nil
		}))
	if err != nil {
		return err
	}
	_, err = meter.Float64ObservableGauge("callfleet.stepfunctions.limit",
		metric.WithUnit("{request}/s"), metric.WithDescription("Present rate limit of this program by operation, while there is one."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			for _, op := range []*operation{c.success, c.failure, c.heartbeat} {
				if r := op.pace.Limit(); !math.IsInf(r, 1) {
					o.Observe(r, of(op.name))
				}
			}
			return nil
		}))
	return err
}

func of(operation string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("operation", operation))
}

func newOperation(name, what string, rate float64) *operation {
	return &operation{name: name, what: what, pace: pace.New(rate), stat: &operationStat{}}
}
