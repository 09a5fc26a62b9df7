package callfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// show is a line as the tables below write it.
func show(l Line) string {
	if l.Err != nil {
		return fmt.Sprintf("%d ! %v", l.Number, l.Err)
	}
	r := l.Request
	text := fmt.Sprintf("%d %s %s %s", l.Number, r.Template, r.Method, r.Params)
	if r.Version > 0 {
		text += fmt.Sprint(" version=", r.Version)
	}
	if r.ID != "" {
		text += " id=" + r.ID
	}
	if r.FlowKey != "" {
		text += " flow=" + r.FlowKey
	}
	if !r.Deadline.IsZero() {
		text += " by=" + r.Deadline.Format("2006-01-02T15:04:05Z07:00")
	}
	return text
}

func readAll(t *testing.T, text string, o Options) []string {
	t.Helper()
	r, err := NewReader(strings.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, show(l))
	}
	n, err := Count(strings.NewReader(text), r.Format(), o.MaxLine)
	if err != nil || n != int64(len(got)) {
		t.Errorf("counted %d, %v; read %d", n, err, len(got))
	}
	return got
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, text string
		want       []string
	}{
		{"fields", `{"templateName":"t","method":"GET","params":{"a":1.50,"b":1e400},"id":"x","flowKey":"f","deadline":"2026-01-31T12:00:00Z"}`,
			[]string{`1 t GET {"a":1.50,"b":1e400} id=x flow=f by=2026-01-31T12:00:00Z`}},
		{"alias, lower case method, no params", `{"template":"t","method":"post"}`, []string{"1 t POST {}"}},
		{"nulls", `{"template":"t","method":"GET","params":null,"id":null,"deadline":null}`, []string{"1 t GET {}"}},
		{"byte order mark, blank lines, CRLF, no last line end", "\ufeff\r\n{\"template\":\"a\",\"method\":\"GET\"}\r\n \n\n{\"template\":\"b\",\"method\":\"GET\"}",
			[]string{"2 a GET {}", "5 b GET {}"}},
		{"versions", strings.Join([]string{
			`{"template":"t","method":"GET","templateVersion":3}`, `{"template":"t","method":"get","templateVersion":"3"}`, `{"template":"t","method":"get@3"}`,
			`{"templateVersion":3,"template":"t","method":"GET@3"}`, `{"template":"t","method":"GET","templateVersion":null}`,
			`{"template":"t","method":"GET@3","templateVersion":4}`, `{"template":"t","method":"GET","templateVersion":0}`,
			`{"template":"t","method":"GET","templateVersion":1.5}`, `{"template":"t","method":"GET","templateVersion":[1]}`, `{"template":"t","method":"GET@0"}`,
		}, "\n"), []string{
			"1 t GET {} version=3", "2 t GET {} version=3", "3 t GET {} version=3", "4 t GET {} version=3", "5 t GET {}",
			"6 ! method: pins version 3, templateVersion is 4",
			`7 ! templateVersion: must be the number of a version, as "producer template history" prints it`,
			`8 ! templateVersion: must be the number of a version, as "producer template history" prints it`,
			`9 ! templateVersion: must be the number of a version, as "producer template history" prints it`,
			"10 ! method: must be an HTTP method in capitals, such as GET",
		}},
		{"mistakes", strings.Join([]string{
			`{"template":"t"`, `[1]`, `null`, `"x"`, `{"template":"t","templateName":"t","method":"GET"}`, `{"method":"GET"}`, `{"template":"t"}`,
			`{"template":"t","method":"G T"}`, `{"template":"t","method":"GET","parms":{}}`, `{"template":"t","method":"GET","params":[1]}`,
			`{"template":7,"method":"GET"}`, `{"template":"t","method":"GET","deadline":"soon"}`, "{\"template\":\"\xff\",\"method\":\"GET\"}",
			`{"template":"t","method":"GET"} {}`,
		}, "\n"), []string{
			"1 ! is not JSON: unexpected end of JSON input (byte 15)", "2 ! is array, want an object", "3 ! is null, want an object", "4 ! is string, want an object",
			"5 ! has both templateName and template", "6 ! templateName: is missing", "7 ! method: is missing",
			"8 ! method: must be an HTTP method in capitals, such as GET",
			"9 ! parms: is no field of a call; known are templateName, method, templateVersion, params, id, flowKey, deadline",
			"10 ! params: must be an object", "11 ! template: must be a string", "12 ! deadline: must be a time such as 2026-01-31T12:00:00Z",
			"13 ! is not valid UTF-8", "14 ! is not JSON: invalid character '{' after top-level value (byte 33)",
		}},
		{"nothing", "", nil},
		{"only space", "\n \n\t\n", nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			compare(t, readAll(t, row.text, Options{Format: FormatJSONL}), row.want)
		})
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, g, w)
		}
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, text string
		want       []string
	}{
		{"columns", "templateName,method,id,flowKey,deadline,a,b\nt,get,x,f,2026-01-31T12:00:00Z,1.50,\nt,GET,,,,,",
			[]string{`2 t GET {"a":"1.50","b":""} id=x flow=f by=2026-01-31T12:00:00Z`, `3 t GET {"a":"","b":""}`}},
		{"quotes", "template,method,a\r\nt,GET,\"two\r\nlines, \"\"quoted\"\"\"\r\n\r\nt,GET,<&>\r\n",
			[]string{`2 t GET {"a":"two\nlines, \"quoted\""}`, `5 t GET {"a":"<&>"}`}},
		{"byte order mark and space in the header", "\ufeff template , method , a \nt,GET, x \n", []string{`2 t GET {"a":" x "}`}},
		{"a stray quote spoils its own line only", "template,method,a\nt,GET,5\" pipe\nt,GET,ok\n",
			[]string{`2 ! is not CSV: bare " in non-quoted-field (column 8)`, `3 t GET {"a":"ok"}`}},
		{"text after a quote", "template,method,a\nt,GET,\"x\"y\nt,GET,ok\n",
			[]string{`2 ! is not CSV: extraneous or missing " in quoted-field (column 9)`, `3 t GET {"a":"ok"}`}},
		{"a quote that is never closed costs one line", "template,method,a\nt,GET,\"x\nt,GET,ok\nt,GET,too\n",
			[]string{"2 ! a quote is opened and never closed", `3 t GET {"a":"ok"}`, `4 t GET {"a":"too"}`}},
		{"too many and too few fields", "template,method,a\nt,GET\nt,GET,1,2\n",
			[]string{"2 ! has 2 fields, the header has 3", "3 ! has 4 fields, the header has 3"}},
		{"not UTF-8", "template,method,a\nt,GET,\xff\n", []string{"2 ! is not valid UTF-8"}},
		{"bad values", "template,method,deadline\n,GET,\nt,,\nt,GET,soon\n",
			[]string{"2 ! templateName: is missing", "3 ! method: is missing", "4 ! deadline: must be a time such as 2026-01-31T12:00:00Z"}},
		{"nothing", "", nil},
		{"header only", "template,method", nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			compare(t, readAll(t, row.text, Options{Format: FormatCSV}), row.want)
		})
	}
}

func TestCSVHeaderMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"method,a\n":                   `column "templateName" is missing; found method, a`,
		"template,a\n":                 `column "method" is missing`,
		"template,method,a,a\n":        `column "a" is there twice`,
		"template,templateName,method": `column "templateName" is there twice`,
		"template,method,\n":           "column 3 has no name",
		"template,method,\"a\n":        "never closed",
		"template,met\"hod\n":          "is not CSV",
	} {
		_, err := NewReader(strings.NewReader(text), Options{Format: FormatCSV})
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// A line above the limit is one bad line, and the next one is read.
func TestLongLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	good := `{"template":"t","method":"GET"}`
	got := readAll(t, good+"\n{\"a\":\""+long+"\"}\n"+good+"\n"+long, Options{Format: FormatJSONL, MaxLine: 64})
	compare(t, got, []string{"1 t GET {}", "2 ! line is too long: more than 64 bytes", "3 t GET {}", "4 ! line is too long: more than 64 bytes"})

	got = readAll(t, "template,method,a\nt,GET,"+long+"\nt,GET,1\nt,GET,\"open\n"+strings.Repeat("t,GET,2\n", 10), Options{Format: FormatCSV, MaxLine: 64})
	want := []string{"2 ! line is too long: more than 64 bytes", `3 t GET {"a":"1"}`,
		"4 ! line is too long: more than 64 bytes, perhaps a quote that is never closed"}
	for i := range 10 {
		want = append(want, fmt.Sprintf(`%d t GET {"a":"2"}`, 5+i))
	}
	compare(t, got, want)
}

func TestOpenFindsTheFormat(t *testing.T) {
	t.Parallel()
	jsonl, csv := `{"template":"t","method":"GET"}`, "template,method\nt,GET\n"
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, csv)
	_ = w.Close()
	rows := []struct {
		name, text string
		format     Format
		want       Format
	}{
		{"a.jsonl", jsonl, "", FormatJSONL}, {"a.NDJSON", jsonl, "", FormatJSONL}, {"a.csv", csv, "", FormatCSV},
		{"a.txt", "\n  " + jsonl, "", FormatJSONL}, {"a", csv, "", FormatCSV}, {"a.json", jsonl, "", FormatJSONL},
		{"b.jsonl", csv, FormatCSV, FormatCSV}, {"a.csv.gz", z.String(), "", FormatCSV}, {"gz", z.String(), "", FormatCSV},
	}
	dir := t.TempDir()
	for _, row := range rows {
		path := filepath.Join(dir, row.name)
		if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(path, nil, Options{Format: row.format})
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		if l, err := r.Next(); err != nil || l.Err != nil || r.Format() != row.want {
			t.Errorf("%s: format %s, line %v, %v", row.name, r.Format(), l, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("%s: close: %v", row.name, err)
		}
	}
	if _, err := Open(filepath.Join(dir, "none"), nil, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Open(Stdin, strings.NewReader(csv), Options{Format: "xml"}); !errors.Is(err, ErrInput) {
		t.Errorf("unknown format: %v", err)
	}
}

// 200,000 lines take no more memory than 10,000: less than half a byte is kept
// for each. Not parallel: it looks at the heap of the whole process.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	rows := []struct {
		format     Format
		head, line string
	}{
		{FormatJSONL, "", `{"template":"t","method":"GET","params":{"n":1}}` + "\n"},
		{FormatCSV, "template,method,n\n", "t,GET,\"a \"\"b\"\"\"\n"},
	}
	for _, row := range rows {
		few := retained(t, row.format, row.head, row.line, 10_000)
		many := retained(t, row.format, row.head, row.line, 200_000)
		t.Logf("%s: %d bytes are alive after 10,000 lines, %d after 200,000", row.format, few, many)
		if many > few+64<<10 {
			t.Errorf("%s: %d bytes are alive after 10,000 lines, %d after 200,000", row.format, few, many)
		}
	}
}

// retained is the heap that is alive, because of the reader, after n lines.
func retained(t *testing.T, format Format, head, line string, n int) int64 {
	t.Helper()
	before := alive()
	r, err := NewReader(io.MultiReader(strings.NewReader(head), &repeat{line: line, left: n}), Options{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	after := alive()
	runtime.KeepAlive(r)
	return after - before
}

func alive() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// repeat is a file of the same line n times.
type repeat struct {
	line string
	rest string
	left int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.rest == "" {
			if r.left == 0 {
				break
			}
			r.left--
			r.rest = r.line
		}
		k := copy(p[n:], r.rest)
		n, r.rest = n+k, r.rest[k:]
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
