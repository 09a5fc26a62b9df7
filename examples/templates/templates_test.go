package templates

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

var update = flag.Bool("update", false, "write the golden files")

// example is one of the files.
type example struct {
	name       string // of the file, without its ending
	text       []byte
	attributes json.RawMessage
	parsed     struct {
		Name, Method string
		Example      json.RawMessage
		Params       struct{ Required []string }
	}
}

func examples(t *testing.T) []example {
	t.Helper()
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	for _, file := range files {
		e := example{name: strings.TrimSuffix(file, ".json")}
		if e.text, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(e.text, &e.parsed); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if e.attributes, err = itemjson.FromPlain(e.text); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, e)
	}
	if len(all) != 12 {
		t.Fatalf("%d templates, want 12", len(all))
	}
	return all
}

func TestTemplatesAreCleanAndDeclareTheirParams(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			if e.parsed.Name != e.name {
				t.Errorf("is named %q: the file is named after the template", e.parsed.Name)
			}
			parsed, warnings, err := template.Lint(e.attributes)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				t.Error(w)
			}
			if len(e.parsed.Example) == 0 {
				t.Error("has no example")
			}
			if err := parsed.CheckParams(json.RawMessage(`{"no such param": 1}`)); err == nil {
				t.Error("takes any params: declare them, with additionalProperties false")
			}
		})
	}
}

// The golden files are what "producer template render" prints for the example.
func TestExamplesRender(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			got := render(t, e, e.parsed.Example)
			if again := render(t, e, e.parsed.Example); !bytes.Equal(got, again) {
				t.Errorf("is rendered differently the second time:\n%s\n%s", got, again)
			}
			path := filepath.Join("testdata", e.name+".http")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%s\nwant, as in %s (-update writes it)\n%s", got, path, want)
			}
		})
	}
}

// What the schema does not require may be left out.
func TestExamplesRenderWithoutOptionalParams(t *testing.T) {
	t.Parallel()
	for _, e := range examples(t) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			var params map[string]json.RawMessage
			if err := json.Unmarshal(e.parsed.Example, &params); err != nil {
				t.Fatal(err)
			}
			for name := range params {
				if !slices.Contains(e.parsed.Params.Required, name) {
					delete(params, name)
				}
			}
			fewer, err := json.Marshal(params)
			if err != nil {
				t.Fatal(err)
			}
			_, body, _ := bytes.Cut(render(t, e, fewer), []byte("\n\n"))
			if bytes.HasPrefix(body, []byte("{")) && !json.Valid(body) {
				t.Errorf("the body is no JSON: %s", body)
			}
		})
	}
}

func render(t *testing.T, e example, params json.RawMessage) []byte {
	t.Helper()
	rendered, err := template.NewRenderer(template.Options{}).Render(t.Context(), e.attributes, params)
	if err != nil {
		t.Fatal(err)
	}
	client, err := httpcall.New(httpcall.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var wire bytes.Buffer
	if err := client.WritePreview(&wire, rendered, "(the request id)"); err != nil {
		t.Fatal(err)
	}
	evidence.Write(t, evidence.Preview, wire.String())
	return append(bytes.TrimRight(bytes.ReplaceAll(wire.Bytes(), []byte("\r\n"), []byte("\n")), "\n"), '\n')
}

func TestGoldenFilesHaveTheirTemplates(t *testing.T) {
	t.Parallel()
	golden, err := filepath.Glob("testdata/*.http")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range golden {
		name := strings.TrimSuffix(filepath.Base(path), ".http")
		if !slices.ContainsFunc(examples(t), func(e example) bool { return e.name == name }) {
			t.Errorf("%s belongs to no template", path)
		}
	}
}

var (
	row       = regexp.MustCompile("(?m)^\\| \\[`([a-z0-9-]+)`\\]\\(([a-z0-9-]+)\\.json\\) ([A-Z]+) \\|.*\\| (.*) \\|$")
	reference = regexp.MustCompile(`secret://(?:env/CALLFLEET_SECRET_)?([A-Za-z0-9_/]+)`)
	quoted    = regexp.MustCompile("`([^`]+)`")
)

// Each template has one row, which names its secrets.
func TestReadmeNamesTheTemplatesAndTheirSecrets(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	type entry struct{ method, secrets string }
	rows := map[string]entry{}
	for _, m := range row.FindAllStringSubmatch(string(readme), -1) {
		if m[1] != m[2] || rows[m[1]] != (entry{}) {
			t.Errorf("README.md: row %q is there twice, or links to another file", m[1])
		}
		rows[m[1]] = entry{m[3], strings.Join(distinct(quoted, m[4]), " ")}
	}
	for _, e := range examples(t) {
		want := entry{e.parsed.Method, strings.Join(distinct(reference, string(e.text)), " ")}
		if got := rows[e.name]; got != want {
			t.Errorf("README.md says of %s %v, want %v", e.name, got, want)
		}
		delete(rows, e.name)
	}
	for name := range rows {
		t.Errorf("README.md has a row for %s, which is no file", name)
	}
	if n := bytes.Count(readme, []byte("\n")); n > 120 {
		t.Errorf("README.md has %d lines, at most 120 are allowed", n)
	}
}

// distinct are the first groups of all matches, sorted, each of them once.
func distinct(pattern *regexp.Regexp, text string) []string {
	var found []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}
