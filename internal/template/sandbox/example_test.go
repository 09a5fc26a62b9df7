package sandbox_test

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"callfleet/internal/template/sandbox"
)

const exampleParams = `{"n": 3.0, "text": "a b/c", "tags": ["a", 2], "user": {"id": 7, "mail": "a@b c"}, "nothing": null, "empty": ""}`

// The examples of the documentation: each prints in both engines what stands
// behind it.
func TestExamplesOfTheDocumentation(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(data), "\n## Filters\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if !strings.Contains(section, exampleParams) {
		t.Errorf("the documentation shows other params than %s", exampleParams)
	}
	examples := 0
	for line := range strings.Lines(section) {
		line, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "    {{ ")
		if !ok {
			continue
		}
		end := strings.Index(line, " }}")
		text, shown := "{{ "+line[:end]+" }}", line[end+3:]
		want := strings.TrimLeft(shown, " ")
		if len(line)+7 > 40 && strings.TrimSpace(shown[:min(len(shown), max(0, 40-7-end-3)+2)]) == "" {
			want = "" // a comment stands in the third column
		}
		want, _, _ = strings.Cut(want, "  ")
		examples++
		for engine, name := range map[sandbox.Engine]string{sandbox.Pongo2: "pongo2", sandbox.Jinja2: "jinja2"} {
			source := text
			if engine == sandbox.Jinja2 {
				source = withBrackets.ReplaceAllString(text, `|$1($2)`)
			}
			got := printed(t, source, engine)
			var a, b any
			same := got == want || strings.Contains(text, "tojson") && json.Unmarshal([]byte(got), &a) == nil &&
				json.Unmarshal([]byte(want), &b) == nil && reflect.DeepEqual(a, b)
			if !same {
				t.Errorf("%s: %s prints %q, the documentation says %q", name, source, got, want)
			}
		}
	}
	if examples < 25 {
		t.Errorf("only %d examples found", examples)
	}
}

var withBrackets = regexp.MustCompile(`\|(\w+):("[^"]*"|\w+)`)

func printed(t *testing.T, text string, engine sandbox.Engine) string {
	t.Helper()
	p, err := sandbox.Compile(text, sandbox.Text, engine)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	values, err := sandbox.ParseParams(json.RawMessage(exampleParams))
	if err != nil {
		t.Fatal(err)
	}
	l := limits
	l.Clock = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	out, err := sandbox.NewRun(t.Context(), values, l).Append(nil, p)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return string(out)
}
