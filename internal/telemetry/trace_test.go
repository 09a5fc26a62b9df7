package telemetry

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/telemetry/otlptest"
)

func TestExtractInvertsInject(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(nil))
	ctx, span := tel.TracerProvider().Tracer("t").Start(t.Context(), "s")
	defer span.End()
	parent, state := Inject(ctx)
	got := trace.SpanContextFromContext(Extract(context.Background(), parent, state))
	if want := span.SpanContext().WithRemote(true); !got.Equal(want) {
		t.Errorf("Extract(Inject) = %v, want %v", got, want)
	}
}

func TestExtractIgnoresWhatIsNoTraceContext(t *testing.T) {
	t.Parallel()
	for name, parent := range map[string]string{
		"empty":      "",
		"garbage":    "hello",
		"zero trace": "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"zero span":  "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"upper case": "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"version ff": "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"long":       strings.Repeat("0", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := trace.SpanContextFromContext(Extract(t.Context(), parent, "")); got.IsValid() {
				t.Errorf("Extract(%.60q) found %v", parent, got)
			}
		})
	}
}

func FuzzExtract(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b,c=d")
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "")
	f.Add("01-x", ",,=")
	f.Fuzz(func(t *testing.T, parent, state string) {
		ctx := Extract(context.Background(), parent, state)
		p, s := Inject(ctx)
		again := Extract(context.Background(), p, s)
		if a, b := trace.SpanContextFromContext(ctx), trace.SpanContextFromContext(again); !a.Equal(b) {
			t.Errorf("%q, %q: %v became %v", parent, state, a, b)
		}
	})
}

func TestWithSpanIDNamesTheNextSpanOnly(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(nil))
	tracer := tel.TracerProvider().Tracer("t")
	id := NewSpanID()
	ctx, first := tracer.Start(WithSpanID(t.Context(), id), "first")
	_, child := tracer.Start(ctx, "child")
	if got := first.SpanContext().SpanID(); got != id {
		t.Errorf("first span has id %s, want %s", got, id)
	}
	if got := child.SpanContext().SpanID(); got == id || !got.IsValid() {
		t.Errorf("child has id %s, want one of its own", got)
	}
	child.End()
	first.End()
}

// The way an execution is traced: its children go out while it runs, and it is
// written at its end, possibly by another process.
func TestSpanIsWrittenAfterItsChildren(t *testing.T) {
	t.Parallel()
	rcv := otlptest.Start(t)
	tel, _ := setup(t, rcv.Getenv(nil))
	tracer := tel.TracerProvider().Tracer("t")
	root, start := tracer.Start(t.Context(), "start")
	start.End()

	id := NewSpanID()
	execution := trace.ContextWithRemoteSpanContext(root, start.SpanContext().WithSpanID(id))
	_, child := tracer.Start(execution, "task")
	child.End()

	_, late := tracer.Start(WithSpanID(root, id), "execution")
	late.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatalf("Shutdown: %v", err)
	}
	byName := make(map[string]otlptest.Span)
	for _, s := range rcv.Spans() {
		byName[s.Name] = s
	}
	if byName["task"].ParentID != byName["execution"].SpanID || byName["execution"].ParentID != byName["start"].SpanID {
		t.Errorf("want start > execution > task, got %+v", byName)
	}
}
