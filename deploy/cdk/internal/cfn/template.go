// Package cfn reads the CloudFormation templates that the app writes, and
// resolves what they refer to, as far as the project's tests need it.
package cfn

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Template is a synthesised stack.
type Template struct {
	Resources map[string]*Resource
	Outputs   map[string]Output
}

// Resource is one resource; ID is its logical id.
type Resource struct {
	ID                  string `json:"-"`
	Type                string
	Properties          map[string]any
	DependsOn           any
	DeletionPolicy      string
	UpdateReplacePolicy string
	Metadata            map[string]any
}

// Output is one output.
type Output struct {
	Description string
	Value       any
}

// Load reads the only template of a cloud assembly.
func Load(assembly string) (*Template, error) {
	names, err := filepath.Glob(filepath.Join(assembly, "*.template.json"))
	if err != nil || len(names) != 1 {
		return nil, fmt.Errorf("load template of %s: %d templates, want 1 (%w)", assembly, len(names), err)
	}
	text, err := os.ReadFile(names[0])
	if err != nil {
		return nil, fmt.Errorf("load template: %w", err)
	}
	var t Template
	if err := json.Unmarshal(text, &t); err != nil {
		return nil, fmt.Errorf("load template %s: %w", names[0], err)
	}
	for id, r := range t.Resources {
		r.ID = id
	}
	return &t, nil
}

// Of returns the resources of a type, such as "AWS::SQS::Queue", by logical id.
func (t *Template) Of(kind string) []*Resource {
	var list []*Resource
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		if t.Resources[id].Type == kind {
			list = append(list, t.Resources[id])
		}
	}
	return list
}

// Get returns what is at a path of a value's keys and indices:
// "Properties", "Targets", 0, "Arn". It is nil where there is nothing.
func Get(v any, path ...any) any {
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[s]
		case int:
			l, _ := v.([]any)
			if s >= len(l) {
				return nil
			}
			v = l[s]
		default:
			panic(fmt.Sprintf("step %v of a path is neither key nor index", step))
		}
	}
	return v
}

// Text is a value as compact JSON, with references as they are: to compare and
// to search.
func Text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // it came out of a JSON file
	}
	return strings.TrimSpace(b.String())
}
