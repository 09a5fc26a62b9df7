package lint

import (
	"go/ast"
	"testing"
)

// deferredEnds finds "defer span.End()", by which the SDK writes the value of a
// panic into the span.
func deferredEnds(files []*File) []finding {
	var found []finding
	for _, f := range files {
		if f.IsTest() || f.NameOf("go.opentelemetry.io/otel/trace") == "" {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			d, ok := n.(*ast.DeferStmt)
			if !ok {
				return true
			}
			if sel, ok := d.Call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "End" && len(d.Call.Args) == 0 {
				found = append(found, finding{f.Path, at(f, f.Line(d), "a deferred End shows what the function panics with: defer telemetry.End(span)")})
			}
			return true
		})
	}
	return found
}

func TestDeferredEnds(t *testing.T) {
	t.Parallel()
	report(t, deferredEnds(load(t)), nil)
}

func TestDeferredEndsCanFail(t *testing.T) {
	t.Parallel()
	const head = "package p\n\nimport \"go.opentelemetry.io/otel/trace\"\n\nfunc f(span trace.Span) { "
	for body, want := range map[string]int{"defer span.End()": 1, "defer telemetry.End(span)": 0, "span.End()": 0} {
		if got := deferredEnds(plant(t, "internal/worker/planted.go", head+body+" }\n")); len(got) != want {
			t.Errorf("%s: %d findings, want %d", body, len(got), want)
		}
	}
}
