package secrettest

import (
	"encoding/base64"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"callfleet/internal/evidence"
	"callfleet/internal/telemetry"
	"callfleet/internal/telemetry/otlptest"
)

func TestValues(t *testing.T) {
	t.Parallel()
	a, b := Value(t, "a"), Value(t, "b")
	if a == b || !strings.HasPrefix(a, Marker) || strings.Trim(a, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("values %q and %q, want two of letters and digits that begin with %s", a, b, Marker)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(WebhookKey(t, "key"), "whsec_"))
	if err != nil || len(key) < 24 || len(key) > 64 {
		t.Errorf("a key of %d bytes, %v, want 24 to 64", len(key), err)
	}
}

// The search of the whole run has to find this value in evidence of each kind, on
// the ways on which a secret would get there; else it says nothing.
func TestCanary(t *testing.T) {
	t.Parallel()
	value := canary(t)
	evidence.Logger(t).Debug("canary", "value", value)
	evidence.LoggerTo(t, slog.NewTextHandler(io.Discard, nil)).With("value", value).Info("canary")
	_, span := evidence.Tracers(t).Tracer("canary").Start(t.Context(), "canary")
	span.SetAttributes(attribute.String("value", value))
	span.End()
	sendCanary(t, value)
	for _, kind := range []evidence.Kind{evidence.History, evidence.Result, evidence.Preview, evidence.Output} {
		evidence.Write(t, kind, "base64 of "+base64.StdEncoding.EncodeToString([]byte("x "+value)))
	}
	if err := os.WriteFile(filepath.Join(evidence.Dir(t), "canary"), []byte("a file\n"+value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Log("a test prints the canary", value)
}

// sendCanary sends it as a program sends telemetry.
func sendCanary(t *testing.T, value string) {
	t.Helper()
	receiver := otlptest.Start(t)
	tel, err := telemetry.New(t.Context(), telemetry.Options{Service: "canary", Getenv: receiver.Getenv(nil), Logger: evidence.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.TracerProvider().Tracer("canary").Start(t.Context(), "canary "+value)
	span.End()
	count, err := tel.MeterProvider().Meter("canary").Int64Counter("canary")
	if err != nil {
		t.Fatal(err)
	}
	count.Add(t.Context(), 1, metric.WithAttributes(attribute.String("value", value)))
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}
