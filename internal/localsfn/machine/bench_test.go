package machine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine"
)

// BenchmarkDecidePassChain runs a chain of 11 Pass states from start to end in
// one decision. The custom metric counts states passed through.
func BenchmarkDecidePassChain(b *testing.B) {
	const length = 11
	var states []string
	for i := range length - 1 {
		states = append(states, fmt.Sprintf(`"S%d": {"Type": "Pass", "Next": "S%d"}`, i, i+1))
	}
	states = append(states, fmt.Sprintf(`"S%d": {"Type": "Pass", "End": true}`, length-1))
	program, findings := asl.Parse([]byte(`{"StartAt": "S0", "States": {` + strings.Join(states, ",") + `}}`))
	if asl.Invalid(findings) {
		b.Fatal(findings)
	}
	start := machine.Start{
		Start: history.Start{Key: "k", Name: "n"},
		Input: expr.Raw([]byte(`{"templateName": "get-anything", "method": "GET", "params": {"id": 42}}`)),
	}
	env := machine.Env{Now: time.Now(), Rand: rand.New(rand.NewPCG(1, 2))}
	b.ReportAllocs()
	for b.Loop() {
		var x machine.Execution
		machine.Decide(program, &x, start, env)
		if x.Status() != machine.Succeeded {
			b.Fatal(x.Status())
		}
	}
	b.ReportMetric(float64(b.N)*length/b.Elapsed().Seconds(), "transitions/s")
}
