package main

import (
	"bytes"
	"strings"
	"testing"
)

// What is shown is what "go test" without -v shows; what is kept is everything.
func TestShow(t *testing.T) {
	t.Parallel()
	const events = `{"Action":"start","Package":"m/good"}
{"Action":"output","Package":"m/good","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"m/good","Test":"TestA","Output":"    a_test.go:1: a log\n"}
{"Action":"pass","Package":"m/good","Test":"TestA"}
{"Action":"output","Package":"m/good","Output":"PASS\n"}
{"Action":"output","Package":"m/good","Output":"ok  \tm/good\t0.1s\n"}
{"Action":"pass","Package":"m/good"}
{"Action":"output","Package":"m/none","Output":"?   \tm/none\t[no test files]\n"}
{"Action":"skip","Package":"m/none"}
{"Action":"output","Package":"m/bad","Test":"TestB","Output":"    b_test.go:1: of the good one\n"}
{"Action":"pass","Package":"m/bad","Test":"TestB"}
{"Action":"output","Package":"m/bad","Test":"TestC","Output":"=== RUN   TestC\n"}
{"Action":"output","Package":"m/bad","Test":"TestC","Output":"    b_test.go:2: wrong\n"}
{"Action":"output","Package":"m/bad","Test":"TestC","Output":"--- FAIL: TestC (0.00s)\n"}
{"Action":"fail","Package":"m/bad","Test":"TestC"}
{"Action":"output","Package":"m/bad","Test":"TestD","Output":"panic: it did not end\n"}
{"Action":"output","Package":"m/bad","Output":"FAIL\tm/bad\t0.1s\n"}
{"Action":"fail","Package":"m/bad"}
{"ImportPath":"m/broken","Action":"build-output","Output":"x.go:1: syntax error\n"}
no JSON
`
	const want = "ok  \tm/good\t0.1s\n?   \tm/none\t[no test files]\n" +
		"    b_test.go:2: wrong\n--- FAIL: TestC (0.00s)\npanic: it did not end\nFAIL\tm/bad\t0.1s\nx.go:1: syntax error\nno JSON\n"
	var shown, kept bytes.Buffer
	if err := show(&shown, &kept, strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	if shown.String() != want {
		t.Errorf("shown is\n%s\nwant\n%s", shown.String(), want)
	}
	for _, text := range []string{"a log", "=== RUN   TestC", "of the good one", "no JSON"} {
		if !strings.Contains(kept.String(), text) {
			t.Errorf("%q is not kept", text)
		}
	}
}
