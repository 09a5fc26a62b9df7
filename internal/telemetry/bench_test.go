package telemetry

import (
	"testing"

	"callfleet/internal/telemetry/otlptest"
)

// What a span costs its caller: switched off, sampled away, and exported.
func BenchmarkSpan(b *testing.B) {
	rcv := otlptest.Start(b)
	for name, getenv := range map[string]func(string) string{
		"off":       vars(),
		"unsampled": rcv.Getenv(map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}),
		"exported":  rcv.Getenv(nil),
	} {
		b.Run(name, func(b *testing.B) {
			tel, err := New(b.Context(), Options{Service: "s", Getenv: getenv})
			if err != nil {
				b.Fatal(err)
			}
			tracer := tel.TracerProvider().Tracer("t")
			for b.Loop() {
				ctx, span := tracer.Start(b.Context(), "s")
				Inject(ctx)
				span.End()
			}
			if err := tel.Shutdown(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
