package telemetry

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"callfleet/internal/evidence"
	"callfleet/internal/telemetry/otlptest"
)

func TestFlushSendsAndGoesOn(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(nil))
	calls, err := tel.MeterProvider().Meter("t").Int64Counter("callfleet.calls")
	if err != nil {
		t.Fatal(err)
	}
	calls.Add(t.Context(), 1)
	for n := 1; n <= 2; n++ {
		_, span := tel.TracerProvider().Tracer("t").Start(t.Context(), "s")
		span.End()
		if err := tel.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(rcv.Spans()); got != n {
			t.Errorf("%d spans after flush %d", got, n)
		}
	}
	if len(rcv.Metrics()) == 0 {
		t.Error("no metrics arrived")
	}
}

// A collector that takes the connection and never answers holds nobody up for
// longer than the flush may take.
func TestFlushEndsWithItsContext(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	tel, err := New(t.Context(), Options{Service: "lambda", Logger: evidence.Logger(t), Getenv: vars("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+silent.Addr().String())})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.TracerProvider().Tracer("t").Start(t.Context(), "s")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := tel.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush = %v, want the context's end", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Flush took %s", took)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_ = tel.Shutdown(ctx) // it cannot send either, and leaves no goroutine behind
}

func TestFlushWithoutTelemetry(t *testing.T) {
	t.Parallel()
	tel, _ := setup(t, vars())
	if err := tel.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}
