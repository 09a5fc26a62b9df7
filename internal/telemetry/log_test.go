package telemetry

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

func TestLoggerNamesTheTrace(t *testing.T) {
	t.Parallel()
	var buf strings.Builder
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), sc)
	log := NewLogger(&buf, slog.LevelInfo, "json").With(slog.String("queue", "tasks"))
	log.InfoContext(ctx, "task dropped")
	log.DebugContext(ctx, "not written")
	var got map[string]any
	if err := json.Unmarshal([]byte(buf.String()), &got); err != nil {
		t.Fatalf("decode %q: %v", buf.String(), err)
	}
	for key, want := range map[string]string{
		"msg": "task dropped", "queue": "tasks",
		"trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000",
	} {
		if got[key] != want {
			t.Errorf("%s = %v, want %s", key, got[key], want)
		}
	}
}

func TestLoggerWithoutSpanAddsNothing(t *testing.T) {
	t.Parallel()
	var buf strings.Builder
	NewLogger(&buf, slog.LevelWarn, "text").WithGroup("g").WarnContext(t.Context(), "slow", slog.Int("n", 1))
	if got := buf.String(); strings.Contains(got, "trace_id") || !strings.Contains(got, "level=WARN msg=slow g.n=1") {
		t.Errorf("line = %q", got)
	}
}
