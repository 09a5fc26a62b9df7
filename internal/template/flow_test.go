package template_test

import (
	"encoding/json"
	"strings"
	"testing"

	"callfleet/internal/template"
)

func TestFlow(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"pongo2", "jinja2"} {
		for params, want := range map[string]string{
			`{"tenant": "a7"}`: "partner-a7", `{"tenant": "a b"}`: "flow: character 10 is no printable ASCII", `{}`: "flow: line 1",
		} {
			r := template.NewRenderer(template.Options{})
			got, err := r.Render(t.Context(), json.RawMessage(`{"PK":{"S":"x"},"SK":{"S":"GET"},"url":{"S":"https://h/"},
				"flow":{"S":"partner-{{ tenant }}"},"engine":{"S":"`+engine+`"}}`), json.RawMessage(params))
			if err == nil && got.Flow != want || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: %q, %v, want %s", engine, params, got.Flow, err, want)
			}
		}
	}
}

// Keys are listed, logged and stored, and nothing puts the secret in.
func TestFlowHoldsNoSecret(t *testing.T) {
	t.Parallel()
	_, err := template.Parse(json.RawMessage(`{"PK":{"S":"x"},"SK":{"S":"GET"},"url":{"S":"https://h.example/"},
		"flow":{"S":"partner-{{ \"secret://env/CALLFLEET_SECRET_A\"|secret }}"}}`))
	if err == nil || !strings.Contains(err.Error(), "flow: cannot hold a secret") {
		t.Errorf("got %v", err)
	}
}
