package expr

import (
	"testing"
)

const benchInput = `{"templateName":"orders","method":"GET","params":{"id":17,"tags":["a","b"],"note":"hello"},"statusCode":200}`

func BenchmarkParse(b *testing.B) {
	text := []byte(benchInput)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPassThrough(b *testing.B) {
	text, path := []byte(benchInput), mustPath(b, "$")
	scope := &Scope{}
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		scope.Input = Raw(text)
		v, err := path.Eval(scope)
		if err != nil {
			b.Fatal(err)
		}
		out = v.AppendJSON(out[:0])
	}
}

func BenchmarkPathEval(b *testing.B) {
	scope := &Scope{Input: Raw([]byte(benchInput))}
	path := mustPath(b, "$.params.id")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := path.Eval(scope); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPathFirstLook(b *testing.B) {
	text, path := []byte(benchInput), mustPath(b, "$.params.id")
	scope := &Scope{}
	b.ReportAllocs()
	for b.Loop() {
		scope.Input = Raw(text)
		if _, err := path.Eval(scope); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTemplateEval(b *testing.B) {
	template := compileTemplate(b, `{"template.$":"$.templateName","params.$":"$.params","fixed":{"a":[1,2,3]},"line.$":"States.Format('{}/{}', $.method, $.params.id)"}`)
	scope := &Scope{Input: Raw([]byte(benchInput))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := template.Eval(scope); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResultPath(b *testing.B) {
	r, err := CompileReference("$.result")
	if err != nil {
		b.Fatal(err)
	}
	input, result := Raw([]byte(benchInput)), Raw([]byte(`{"ok":true}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Set(input, result); err != nil {
			b.Fatal(err)
		}
	}
}

func mustPath(tb testing.TB, text string) *Path {
	tb.Helper()
	p, err := CompilePath(text)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
