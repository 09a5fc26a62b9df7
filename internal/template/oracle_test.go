package template_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

var update = flag.Bool("update", false, "write the oracle's answers, and the tables of differences in the documentation")

const (
	oracleDir = "testdata/jinja2/"
	docFile   = "../../docs/templates.md"
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
	if len(texts) < 450 {
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

// verdict is how what an engine makes of a construct compares with Jinja2.
type verdict string

const (
	equal   verdict = "equal" // also an error of both
	refused verdict = "refused by lint"
	// extension: Jinja2 takes it for a mistake, so that nobody expects anything.
	extension verdict = "no Jinja2"
	silent    verdict = "silently different"
)

var verdicts = []verdict{equal, refused, extension, silent}

func judge(want, got answer) verdict {
	switch {
	case got.String() == want.String():
		return equal
	case got.Output == nil:
		return refused
	case want.Output == nil:
		return extension
	}
	return silent
}

// tables are the verdicts that the documentation lists, by the engine.
var tables = map[string]map[string][]verdict{
	"jinja2": {"differences of jinja2": {refused, extension, silent}},
	"pongo2": {"extensions of pongo2": {extension}},
}

// The oracle of the issue: what Jinja2 makes of each construct, the engine
// jinja2 makes as well; what it does not is in the documentation. pongo2 makes
// the same, or lint refuses the template with these params as its example.
func TestAgainstJinja2(t *testing.T) {
	t.Parallel()
	params, texts := readConstructs(t)
	want := oracle(t, params, texts)
	summary := make([]string, 0, 2)
	for _, engine := range []string{"pongo2", "jinja2"} {
		count := map[verdict]int{}
		rows := map[verdict][]string{}
		for i, text := range texts {
			got := ours(t, text, engine, params)
			v := judge(want[i], got)
			count[v]++
			rows[v] = append(rows[v], fmt.Sprintf("%04d", i)+row(text, want[i], got))
		}
		share := 100 * float64(count[equal]) / float64(len(texts))
		t.Logf("%s: %d constructs: %v, %.1f %% equal", engine, len(texts), count, share)
		if engine == "jinja2" && share < 95 {
			t.Errorf("jinja2: only %.1f %% of %d constructs are as in Jinja2", share, len(texts))
		}
		if count[silent] > 0 {
			t.Errorf("%s: these print something else than Jinja2 without a word, which must be equal or refused:\n%s", engine, strings.Join(rows[silent], ""))
		}
		for table, verdicts := range tables[engine] {
			var list []string
			for _, v := range verdicts {
				list = append(list, rows[v]...)
			}
			documented(t, table, "| template | Jinja2 | here |\n|---|---|---|\n", list)
		}
		line := fmt.Sprintf("%04d| `%s` |", len(summary), engine)
		for _, v := range verdicts {
			line += fmt.Sprintf(" %d |", count[v])
		}
		summary = append(summary, line+"\n")
	}
	header := fmt.Sprintf("| of %d |", len(texts))
	for _, v := range verdicts {
		header += " " + string(v) + " |"
	}
	documented(t, "counts", header+"\n|---|"+strings.Repeat("---|", len(verdicts))+"\n", summary)
}

// ours is what becomes of a template whose payload is the text and whose example
// the params: the finding of lint, or the body.
func ours(t *testing.T, text, engine string, params json.RawMessage) answer {
	t.Helper()
	var example any // with each name once, as an item must have it
	d := json.NewDecoder(bytes.NewReader(params))
	d.UseNumber()
	if err := d.Decode(&example); err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(map[string]any{"name": "a", "method": "POST", "url": "https://h/", "engine": engine, "contentType": "text/plain", "payload": text, "example": example})
	if err != nil {
		t.Fatal(err)
	}
	item, err := itemjson.FromPlain(plain)
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, err := template.Lint(item)
	if e, ok := errors.AsType[*template.Error](err); ok {
		return answer{Error: strings.TrimSuffix(strings.TrimPrefix(e.Problems[0].String(), "payload: "), " (with the example)")}
	}
	if err != nil || engine == "pongo2" && len(warnings) > 0 {
		t.Fatalf("%s: %v, %v: a difference is no warning", text, err, warnings)
	}
	request, err := template.NewRenderer(template.Options{}).Render(t.Context(), item, params)
	if err != nil {
		t.Errorf("%s: lint rendered the example, and now: %v", text, err)
		return answer{Error: err.Error()}
	}
	s := string(request.Body)
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

// documented compares a table of the documentation with the rows there are,
// which begin with their number.
func documented(t *testing.T, name, header string, rows []string) {
	t.Helper()
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": written by a test -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(string(data), begin)
	inside, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table of the %s", docFile, name)
	}
	slices.Sort(rows)
	table := "\n" + header
	for _, r := range rows {
		table += r[4:]
	}
	table += "\n"
	if inside == table {
		return
	}
	if !*update {
		t.Errorf("%s: the %s are not those there are: run this test with -update, and look at them.\nThere are:%s", docFile, name, table)
		return
	}
	if err := os.WriteFile(docFile, []byte(before+begin+table+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
