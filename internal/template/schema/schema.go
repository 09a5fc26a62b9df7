// Package schema checks params against the JSON Schema (draft 2020-12) that a
// template declares. A schema is data from outside: it reads nothing else, and
// what checking costs is bounded when it is compiled.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is a compiled schema. It is safe for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	doc      map[string]any
}

// draft is the one that schemas are written in.
const draft = "https://json-schema.org/draft/2020-12/schema"

// maxNodes bounds a schema with each $ref written out.
const maxNodes = 5000

// Compile reads a schema. Its errors show nothing but the schema.
func Compile(text json.RawMessage) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, errors.New("is not JSON")
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("must be a JSON Schema, which is an object")
	}
	if err := (&walk{root: object}).schema(object, nil); err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	const name = "params:schema"
	if err := c.AddResource(name, doc); err != nil {
		return nil, oneLine(err)
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return nil, oneLine(err)
	}
	return &Schema{compiled: compiled, doc: object}, nil
}

// noLoader keeps schemas from reading files and calling servers.
type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("a schema cannot refer to another document")
}

func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "params:schema", "")), " "))
}

// walk counts what a schema is with each $ref written out.
type walk struct {
	root  map[string]any
	nodes int
}

func (w *walk) schema(v any, open []string) error {
	if w.nodes++; w.nodes > maxNodes {
		return fmt.Errorf("has more than %d parts when each $ref is written out", maxNodes)
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if err := w.schema(item, open); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, item := range v {
			switch key {
			case "$id", "$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor":
				return fmt.Errorf("%s is not allowed", key)
			case "$schema":
				if item != draft {
					return fmt.Errorf("$schema must be %s", draft) // others have other keywords
				}
			case "$defs", "definitions", "const", "enum", "examples", "default":
				continue // $defs count where they are used
			case "properties", "patternProperties", "dependentSchemas":
				if err := w.members(item, open); err != nil {
					return err
				}
				continue
			case "$ref":
				if err := w.reference(item, open); err != nil {
					return err
				}
				continue
			}
			if err := w.schema(item, open); err != nil {
				return err
			}
		}
	}
	return nil
}

// members walks schemas by name: no name is a keyword, whatever it is.
func (w *walk) members(v any, open []string) error {
	object, ok := v.(map[string]any)
	if !ok {
		return w.schema(v, open) // is refused when it is compiled
	}
	for _, item := range object {
		if err := w.schema(item, open); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) reference(v any, open []string) error {
	ref, _ := v.(string)
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok || strings.Contains(ref, "%") { // which would name another place when it is decoded
		return fmt.Errorf("$ref %q must be a place in the same schema, such as #/$defs/name", ref)
	}
	if slices.Contains(open, ref) {
		return fmt.Errorf("$ref %q leads back to itself, which is not allowed", ref)
	}
	var at any = w.root
	for key := range strings.SplitSeq(path, "/") {
		key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		object, _ := at.(map[string]any)
		if at, ok = object[key]; !ok {
			return fmt.Errorf("$ref %q leads nowhere", ref)
		}
	}
	return w.schema(at, append(open, ref))
}

// maxExponent bounds the numbers that are compared exactly.
const maxExponent = 400

// Validate checks params, null as the empty object. Members named in opaque are
// there, with a value that is not known and may be right. The error says where
// params break the schema and by which keyword, and shows none of their values.
func (s *Schema) Validate(params json.RawMessage, opaque []string) error {
	if text := bytes.TrimSpace(params); len(text) == 0 || string(text) == "null" {
		params = json.RawMessage("{}")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(params))
	if err != nil {
		return errors.New("is not JSON")
	}
	if !countable(doc) {
		return errors.New("holds a number that is too large to check")
	}
	broken, ok := errors.AsType[*jsonschema.ValidationError](s.compiled.Validate(doc))
	if !ok {
		return nil
	}
	var list []string
	collect(broken, opaque, &list)
	if len(list) == 0 {
		return nil
	}
	const most = 5
	if len(list) > most {
		list = append(list[:most], fmt.Sprintf("%d more", len(list)-most))
	}
	return errors.New(strings.Join(list, "; "))
}

func countable(v any) bool {
	switch v := v.(type) {
	case json.Number:
		i := strings.IndexAny(string(v), "eE")
		if i < 0 {
			return true
		}
		n, err := strconv.Atoi(string(v[i+1:]))
		return err == nil && -maxExponent <= n && n <= maxExponent
	case []any:
		return !slices.ContainsFunc(v, func(item any) bool { return !countable(item) })
	case map[string]any:
		for _, item := range v {
			if !countable(item) {
				return false
			}
		}
	}
	return true
}

// Missing reports whether the schema names what members params have, and path,
// such as user, name, is not among them.
func (s *Schema) Missing(path []string) bool {
	_, missing := s.find(path)
	return missing
}

// IsList reports whether path is declared to be an array.
func (s *Schema) IsList(path []string) bool {
	at, _ := s.find(path)
	return at["type"] == "array"
}

// find is the schema of path, nil when the schema does not say; missing is a
// path that it does not allow.
func (s *Schema) find(path []string) (at map[string]any, missing bool) {
	at = s.doc
	for i, key := range path {
		if i == 0 && key == "params" {
			continue
		}
		properties, ok := at["properties"].(map[string]any)
		if !ok || open(at) {
			return nil, false
		}
		next, ok := properties[key].(map[string]any)
		if !ok {
			_, any := properties[key]
			return nil, !any
		}
		at = next
	}
	return at, false
}

// open reports whether a schema lets through members that it does not name, or
// says by other means than properties which there are.
func open(schema map[string]any) bool {
	if additional, ok := schema["additionalProperties"]; ok && additional != false {
		return true
	}
	for _, key := range []string{"$ref", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"} {
		if _, ok := schema[key]; ok {
			return true
		}
	}
	return false
}
