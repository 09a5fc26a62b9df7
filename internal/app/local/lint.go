package local

import "callfleet/internal/localsfn/asl"

// Lint returns everything that is wrong, or unwise, in a state machine's
// definition, each with its place.
func Lint(definition []byte) []string {
	_, findings := asl.Parse(definition)
	lines := make([]string, len(findings))
	for i, f := range findings {
		lines[i] = f.String()
	}
	return lines
}
