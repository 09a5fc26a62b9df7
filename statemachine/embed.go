// Package statemachine holds the state machines that Callfleet ships: the same
// files are deployed to AWS Step Functions and to our own server.
package statemachine

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// CallAPI is the definition of one templated API call, handed to the fleet by
// task token. Its substitutions are TemplatesTable and TasksQueueUrl.
//
//go:embed call-api.asl.json
var CallAPI string

// CallBatch is the definition of many calls of one template, handed to the fleet
// by one task token. Its substitutions are those of CallAPI.
//
//go:embed call-batch.asl.json
var CallBatch string

// Tutorial is the definition that calls the API through a Lambda function. It
// has no substitutions.
//
//go:embed tutorial.asl.json
var Tutorial string

var placeholder = regexp.MustCompile(`\$\{([A-Za-z][A-Za-z0-9]*)\}`)

// Placeholders are the names of the ${Name} placeholders of a definition, each
// once, sorted.
func Placeholders(definition string) []string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(definition, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Substitute fills the ${Name} placeholders of a definition, as
// DefinitionSubstitutions does in CloudFormation. Every placeholder needs a
// value and every value a placeholder; the error lists all that do not match.
func Substitute(definition string, values map[string]string) (string, error) {
	var wrong []string
	used := map[string]bool{}
	out := placeholder.ReplaceAllStringFunc(definition, func(m string) string {
		name := m[2 : len(m)-1]
		used[name] = true
		v, ok := values[name]
		if !ok {
			wrong = append(wrong, name+" has no value")
		}
		return v
	})
	for name := range values {
		if !used[name] {
			wrong = append(wrong, name+" is not in the definition")
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return "", fmt.Errorf("substitute definition: %s", strings.Join(slices.Compact(wrong), ", "))
	}
	return out, nil
}
