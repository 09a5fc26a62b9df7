package local

import (
	"callfleet/internal/localsfn/asl"
	"callfleet/statemachine"
)

// Lint returns everything that is wrong, or unwise, in a state machine's
// definition, each with its place, and the ${Name} placeholders that have no
// value before it is deployed.
func Lint(definition []byte) (findings, placeholders []string) {
	_, found := asl.Parse(definition)
	for _, f := range found {
		findings = append(findings, f.String())
	}
	return findings, statemachine.Placeholders(string(definition))
}
