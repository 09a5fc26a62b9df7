package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"callfleet/internal/template/schema"
)

const order = `{"type":"object","required":["id"],"additionalProperties":false,
 "properties":{"id":{"type":"string","pattern":"^[a-z]+$"},"n":{"type":"integer","minimum":1},"mail":{"type":"string","format":"email"},
 "user":{"type":"object","properties":{"name":{"type":"string"},"any":true}},"list":{"type":"array","items":{"$ref":"#/$defs/item"},"maxItems":2}},
 "$defs":{"item":{"enum":["a","b"]}}}`

func TestValidate(t *testing.T) {
	t.Parallel()
	s, err := schema.Compile(json.RawMessage(order))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ params, want string }{
		{`{"id":"abc","n":1.0,"user":{"name":"x"},"list":["a"]}`, ""},
		{`{}`, "params lacks id"}, {``, "params lacks id"}, {`null`, "params lacks id"},
		{`{"id":7}`, "id is number, must be string"},
		{`{"id":"SECRET"}`, `id breaks "pattern" of the template's params`},
		{`{"id":"a","n":0}`, `n breaks "minimum"`},
		{`{"id":"a","mail":"SECRET"}`, `mail is no email`},
		{`{"id":"a","nmae":"SECRET"}`, `params has nmae, which the template does not declare`},
		{`{"id":"a","user":{"name":["SECRET"]}}`, `user.name is array, must be string`},
		{`{"id":"a","list":["SECRET"]}`, `list.0 breaks "enum"`},
		{`{"id":"a","list":["a","b","a"]}`, `list breaks "maxItems"`},
		{`{"id":"a","n":1e999999}`, `holds a number that is too large to check`},
		{`{"id":7,"n":"x"}`, `; `},
	} {
		err := s.Validate(json.RawMessage(tt.params), nil)
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) || strings.Contains(got, "SECRET") {
			t.Errorf("%s: got %v, want %s", tt.params, err, tt.want)
		}
	}
}

// A member whose value is not known yet breaks nothing, and hides nothing.
func TestValidateWithWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	const ref = `{"$ref":{"url":"x"}}`
	for _, tt := range []struct{ schema, params, want string }{
		{order, `{"id":` + ref + `}`, ""},
		{order, `{"id":` + ref + `,"n":0}`, `n breaks "minimum"`},
		{`{"required":["id","x"]}`, `{"id":` + ref + `}`, "params lacks x"},
		{`{"anyOf":[{"properties":{"id":{"type":"string"}}},{"properties":{"n":{"type":"integer"}}}]}`, `{"id":` + ref + `,"n":"x"}`, ""},
		{`{"anyOf":[{"required":["x"]},{"properties":{"n":{"type":"integer"}}}]}`, `{"id":` + ref + `,"n":"x"}`, "n is string"},
		{`{"allOf":[{"properties":{"id":{"type":"string"}}},{"properties":{"n":{"type":"integer"}}}]}`, `{"id":` + ref + `,"n":"x"}`, "n is string"},
	} {
		s, err := schema.Compile(json.RawMessage(tt.schema))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Validate(json.RawMessage(tt.params), []string{"id"})
		if got := fmt.Sprint(err); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("%s of %s: got %v, want %s", tt.params, tt.schema, err, tt.want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	s, err := schema.Compile(json.RawMessage(order))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"id": false, "nmae": true, "user.name": false, "user.nmae": true, "user.any.x": false, "params.id": false, "params.nmae": true, "list.0": false,
	} {
		if got := s.Missing(strings.Split(path, ".")); got != want {
			t.Errorf("%s: got %t", path, got)
		}
	}
}

// A schema reads nothing, and cannot make checking dear.
func TestHostileSchemas(t *testing.T) {
	t.Parallel()
	doubling := func(what string) string {
		text := `{` + what + `,"$defs":{"%61":{},`
		for i := range 40 {
			text += fmt.Sprintf(`"a%d":{"allOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]},`, i, i+1, i+1)
		}
		return text + `"a40":{"type":"object"}, "a":{"$ref":"#/$defs/a0"}}}`
	}
	for name, tt := range map[string]struct{ schema, want string }{
		"reads a file":       {`{"$ref":"file:///etc/passwd"}`, "must be a place in the same schema"},
		"calls a server":     {`{"$ref":"http://127.0.0.1/"}`, "must be a place in the same schema"},
		"takes another base": {`{"$id":"http://127.0.0.1/","type":"object"}`, "$id is not allowed"},
		"has another draft":  {`{"$schema":"http://127.0.0.1/draft"}`, "$schema must be https://json-schema.org/draft/2020-12/schema"},
		"has an old draft":   {`{"$schema":"http://json-schema.org/draft-07/schema#"}`, "$schema must be https://json-schema.org/draft/2020-12/schema"},
		"leads to itself":    {`{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"items":{"$ref":"#/$defs/a"}}}}`, "leads back to itself"},
		"leads nowhere":      {`{"$ref":"#/$defs/b"}`, "leads nowhere"},
		"doubles":            {doubling(`"allOf":[{"$ref":"#/$defs/a0"}]`), "has more than 5000 parts"},
		"doubles in a name":  {doubling(`"properties":{"default":{"$ref":"#/$defs/a0"}}`), "has more than 5000 parts"},
		"doubles in names":   {doubling(`"dependentSchemas":{"enum":{"patternProperties":{"const":{"$ref":"#/$defs/a0"}}}}`), "has more than 5000 parts"},
		"doubles elsewhere":  {doubling(`"$ref":"#/$defs/%61"`), "must be a place in the same schema"},
		"is no schema":       {`{"type":"nothing"}`, ""},
		"is a list":          {`[]`, "must be a JSON Schema"},
		"has a bad pattern":  {`{"pattern":"("}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := schema.Compile(json.RawMessage(tt.schema))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
