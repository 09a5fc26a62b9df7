package sandbox_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/template/sandbox"
)

var update = flag.Bool("update", false, "write the oracle's answers, and the tables of differences in the documentation")

const (
	oracleDir = "testdata/jinja2/"
	docFile   = "../../../docs/templates.md"
)

// constructs is the table that Jinja2 itself and both engines are asked about.
type constructs struct {
	Params     json.RawMessage
	Constructs map[string][]string // by what they are about
}

// answer is what a template became.
type answer struct {
	Output *string `json:"output,omitempty"`
	Error  string  `json:"error,omitempty"`
}

type answers struct {
	Version string
	Answers []answer
}

func readConstructs(t *testing.T) (params json.RawMessage, texts []string) {
	t.Helper()
	var c constructs
	readJSON(t, oracleDir+"constructs.json", &c)
	for _, about := range slices.Sorted(maps.Keys(c.Constructs)) {
		texts = append(texts, c.Constructs[about]...)
	}
	if len(texts) < 120 {
		t.Fatalf("only %d constructs", len(texts))
	}
	return c.Params, texts
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatalf("read %s: %v", file, err)
	}
}

// oracle asks Jinja2 itself where there is one, and otherwise for what it said
// when the answers were recorded.
func oracle(t *testing.T, params json.RawMessage, texts []string) []answer {
	t.Helper()
	var recorded answers
	if !*update {
		readJSON(t, oracleDir+"answers.json", &recorded)
		if len(recorded.Answers) != len(texts) {
			t.Fatalf("answers.json has %d answers to %d constructs: run this test with -update", len(recorded.Answers), len(texts))
		}
	}
	asked, err := json.Marshal(map[string]any{"params": params, "constructs": texts})
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), "python3", oracleDir+"oracle.py")
	child.Stdin = bytes.NewReader(asked)
	out, err := child.Output()
	var live answers
	if err == nil {
		err = json.Unmarshal(out, &live)
	}
	switch {
	case *update && err != nil:
		t.Fatalf("ask Jinja2: %v", err)
	case *update:
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := e.Encode(live); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(oracleDir+"answers.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	case err != nil || !strings.HasPrefix(live.Version, "3.1."):
		t.Logf("no Jinja2 3.1 on this machine (%v): the recorded answers of %s count", err, recorded.Version)
		return recorded.Answers
	case !slices.EqualFunc(live.Answers, recorded.Answers, func(a, b answer) bool { return a.String() == b.String() }):
		t.Errorf("Jinja2 %s answers otherwise than %s, whose answers are recorded", live.Version, recorded.Version)
	}
	return live.Answers
}

// String is the answer as the documentation shows it.
func (a answer) String() string {
	if a.Output == nil {
		return "error"
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(*a.Output)
	return strings.TrimSuffix(b.String(), "\n")
}

// The oracle of the issue: what Jinja2 makes of each construct, the engine
// jinja2 makes as well; what it does not is in the documentation. pongo2 makes
// the same, or refuses.
func TestAgainstJinja2(t *testing.T) {
	t.Parallel()
	params, texts := readConstructs(t)
	want := oracle(t, params, texts)
	var jinja, pongo []string
	refused, failed, own := 0, 0, 0 // own: Jinja2 refuses it
	for i, text := range texts {
		if got := ours(t, text, sandbox.Jinja2, params); got.String() != want[i].String() {
			jinja = append(jinja, row(text, want[i], got))
		}
		got := ours(t, text, sandbox.Pongo2, params)
		switch {
		case got.Error == "refused":
			refused++
		case got.Output == nil:
			failed++
		case got.String() != want[i].String():
			if want[i].Output == nil {
				own++
			}
			pongo = append(pongo, row(text, want[i], got))
		}
	}
	equal := 100 * float64(len(texts)-len(jinja)) / float64(len(texts))
	t.Logf("%d constructs; jinja2: %d equal (%.1f %%), %d differ; pongo2: %d equal, %d refused by lint, %d fail when rendered, %d are no Jinja2, %d differ",
		len(texts), len(texts)-len(jinja), equal, len(jinja), len(texts)-refused-failed-len(pongo), refused, failed, own, len(pongo)-own)
	if equal < 95 {
		t.Errorf("jinja2: only %.1f %% of %d constructs are as in Jinja2", equal, len(texts))
	}
	documented(t, "jinja2", jinja)
	documented(t, "pongo2", pongo)
}

func ours(t *testing.T, text string, engine sandbox.Engine, params json.RawMessage) answer {
	t.Helper()
	p, err := sandbox.Compile(text, sandbox.Text, engine)
	if err != nil {
		return answer{Error: "refused"}
	}
	values, err := sandbox.ParseParams(params)
	if err != nil {
		t.Fatal(err)
	}
	out, err := sandbox.NewRun(t.Context(), values, limits).Append(nil, p)
	if err != nil {
		return answer{Error: err.Error()}
	}
	s := string(out)
	return answer{Output: &s}
}

func row(text string, jinja, here answer) string {
	cell := func(s string) string {
		return "`" + strings.NewReplacer("|", `\|`, "\r", "␍", "\n", "↵", "`", "'").Replace(s) + "`"
	}
	shown := here.String()
	if here.Output == nil {
		shown = here.Error
	}
	return fmt.Sprintf("| %s | %s | %s |\n", cell(text), cell(jinja.String()), cell(shown))
}

// documented compares the table of an engine's differences in the
// documentation with those there are.
func documented(t *testing.T, engine string, rows []string) {
	t.Helper()
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- differences of "+engine+": written by a test -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(string(data), begin)
	inside, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table of the differences of %s", docFile, engine)
	}
	table := "\n| template | Jinja2 | here |\n|---|---|---|\n" + strings.Join(rows, "") + "\n"
	if inside == table {
		return
	}
	if !*update {
		t.Errorf("%s: the differences of %s are not those there are: run this test with -update, and look at them.\nThere are:%s", docFile, engine, table)
		return
	}
	if err := os.WriteFile(docFile, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
