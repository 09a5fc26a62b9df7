package quickstart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestCallsAreWhatTheGeneratorWrites(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	if err := WriteCalls(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("calls.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("calls.jsonl is not up to date: run go generate ./examples/quickstart")
	}
	if n := bytes.Count(got, []byte("\n")); n != 1000 {
		t.Errorf("calls.jsonl has %d calls, want 1000", n)
	}
}

func TestEveryKindHasItsTemplateAndItsRowInTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	templates, err := fs.Glob(Templates(), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(templates) != len(kinds()) {
		t.Errorf("%d templates for %d kinds of calls", len(templates), len(kinds()))
	}
	for _, k := range kinds() {
		name := k.template + "." + k.method + ".json"
		data, err := fs.ReadFile(Templates(), name)
		if err != nil {
			t.Error(err)
			continue
		}
		var template struct{ Name, Method, URL string }
		if err := json.Unmarshal(data, &template); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if template.Name != k.template || template.Method != k.method {
			t.Errorf("%s is template %s %s", name, template.Name, template.Method)
		}
		if !strings.HasPrefix(template.URL, "http://127.0.0.1:8089/") {
			t.Errorf("%s calls %s, not the sample API", name, template.URL)
		}
		if row := fmt.Sprintf("| `%s` %s | %d |", k.template, k.method, k.count); !strings.Contains(string(readme), row) {
			t.Errorf("README.md has no row %q", row)
		}
	}
}
