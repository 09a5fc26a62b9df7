package asl

import (
	"maps"
	"slices"
	"strings"

	"callfleet/internal/localsfn/expr"
)

// VariableReferences lists, for each state that refers to variables, their
// names in order: what DescribeStateMachine shows as variableReferences.
func (p *Program) VariableReferences() map[string][]string {
	references := map[string][]string{}
	p.Walk(func(s *State) {
		if len(s.variables) > 0 {
			references[s.Name] = s.variables
		}
	})
	return references
}

// variables are the names of the variables that a state's own fields refer to.
func variables(state expr.Value) []string {
	found := map[string]bool{}
	for _, m := range state.Members() {
		switch m.Key {
		case "Result", "Branches", "ItemProcessor", "Iterator": // literal, or other states
		case "Parameters", "ItemSelector", "ResultSelector", "Assign", "Credentials":
			inTemplate(m.Value, found)
		default:
			inField(m.Key, m.Value, found)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// inField looks at fields that hold paths, and into rules, retriers and catchers.
func inField(key string, v expr.Value, found map[string]bool) {
	switch v.Kind() {
	case expr.KindString:
		if strings.HasSuffix(key, "Path") || key == "Variable" {
			inExpression(v.Text(), found)
		}
	case expr.KindArray:
		for _, element := range v.Elements() {
			inField("", element, found)
		}
	case expr.KindObject:
		for _, m := range v.Members() {
			if m.Key == "Assign" {
				inTemplate(m.Value, found)
				continue
			}
			inField(m.Key, m.Value, found)
		}
	}
}

// inTemplate looks at the keys of a payload template that end in ".$".
func inTemplate(v expr.Value, found map[string]bool) {
	for _, element := range v.Elements() {
		inTemplate(element, found)
	}
	for _, m := range v.Members() {
		if strings.HasSuffix(m.Key, ".$") && m.Value.Kind() == expr.KindString {
			inExpression(m.Value.Text(), found)
			continue
		}
		inTemplate(m.Value, found)
	}
}

// inExpression finds "$name" outside of quoted text.
func inExpression(text string, found map[string]bool) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			i++
		case c == '\'':
			quoted = !quoted
		case c == '$' && !quoted:
			end := i + 1
			for end < len(text) && (text[end] == '_' || text[end] >= 0x80 || isAlphanumeric(text[end])) {
				end++
			}
			if name := text[i+1 : end]; variableName(name) {
				found[name] = true
			}
			i = end - 1
		}
	}
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
