package search

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"callfleet/internal/evidence"
)

// needed are the kinds of evidence without which a search says nothing.
var needed = []evidence.Kind{evidence.Log, evidence.Span, evidence.Metric, evidence.History, evidence.Result, evidence.Preview, evidence.Output, evidence.File}

// Count is how much of one kind was searched.
type Count struct {
	Files, Records int // records of a file that has none are its lines
	Bytes          int64
	canaries       int
}

// Report is what a search came to.
type Report struct {
	Secrets, Tests int // looked for, and the tests that have them
	Forms          int // in which each is looked for
	Kinds          map[evidence.Kind]*Count
	Leaks          []string // where a secret is, and which; never its value
}

// Directory searches all that a test run left in a directory.
func Directory(dir, marker string) (*Report, error) {
	secrets, err := hidden(dir)
	if err != nil {
		return nil, err
	}
	report := &Report{Forms: len(forms(marker)), Kinds: map[evidence.Kind]*Count{}}
	tests, values := map[string]bool{}, map[string]bool{}
	for _, s := range secrets {
		if !s.Canary {
			tests[s.Test], values[s.Value] = true, true
		}
	}
	report.Secrets, report.Tests = len(values), len(tests)
	searcher := New(secrets, marker)
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil || strings.HasPrefix(rel, "secrets-") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		report.add(rel, text, searcher.Find(text))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("search evidence: %w", err)
	}
	return report, nil
}

// hidden reads what is looked for.
func hidden(dir string) ([]evidence.Hidden, error) {
	files, err := filepath.Glob(filepath.Join(dir, "secrets-*.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("search evidence: %w", err)
	}
	var list []evidence.Hidden
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("search evidence: %w", err)
		}
		for l := range bytes.Lines(text) {
			var h evidence.Hidden
			if err := json.Unmarshal(l, &h); err != nil {
				return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
			}
			list = append(list, h)
		}
	}
	return list, nil
}

func (r *Report) add(name string, text []byte, hits []Hit) {
	kind, _, _ := strings.Cut(filepath.ToSlash(name), "-")
	if dir, _, ok := strings.Cut(filepath.ToSlash(name), "/"); ok {
		kind = dir
	}
	count := r.Kinds[evidence.Kind(kind)]
	if count == nil {
		count = &Count{}
		r.Kinds[evidence.Kind(kind)] = count
	}
	count.Files++
	count.Bytes += int64(len(text))
	count.Records += bytes.Count(text, []byte("\n"))
	for _, h := range hits {
		if h.Secret.Canary {
			count.canaries++
			continue
		}
		r.Leaks = append(r.Leaks, leak(name, text, h))
	}
}

// leak says where a secret is; the record says of which test.
func leak(name string, text []byte, h Hit) string {
	where := fmt.Sprintf("%s:%d", name, h.Line)
	var record evidence.Record
	if line := nth(text, h.Line); json.Unmarshal(line, &record) == nil && record.Test != "" {
		where += ", written in " + record.Test
	}
	what := h.Secret.Name
	if h.Secret.Test != "" {
		what = fmt.Sprintf("secret %q of %s", h.Secret.Name, h.Secret.Test)
	}
	return fmt.Sprintf("%s: %s, %s", where, what, h.Form)
}

func nth(text []byte, n int) []byte {
	for l := range bytes.Lines(text) {
		if n--; n == 0 {
			return l
		}
	}
	return nil
}

// Err is nil when nothing was found and the search could have found it: there is
// evidence of every kind, and in each of them what was put there on purpose.
func (r *Report) Err() error {
	var mistakes []string
	if r.Secrets == 0 {
		mistakes = append(mistakes, "no test has a secret")
	}
	for _, kind := range needed {
		switch count := r.Kinds[kind]; {
		case count == nil || count.Records == 0:
			mistakes = append(mistakes, fmt.Sprintf("there is no evidence of kind %s", kind))
		case count.canaries == 0:
			mistakes = append(mistakes, fmt.Sprintf("the canary was not found in kind %s, so a secret would not be either", kind))
		}
	}
	if n := len(r.Leaks); n > 0 {
		mistakes = append(mistakes, fmt.Sprintf("%d places show a secret", n))
	}
	if len(mistakes) == 0 {
		return nil
	}
	return fmt.Errorf("search for secrets: %s", strings.Join(mistakes, "; "))
}

// mostLeaks are shown; a secret that leaks once leaks often.
const mostLeaks = 50

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	var files int
	var size int64
	kinds := make([]string, 0, len(r.Kinds))
	for kind, c := range r.Kinds {
		files, size = files+c.Files, size+c.Bytes
		kinds = append(kinds, string(kind))
	}
	slices.Sort(kinds)
	fmt.Fprintf(w, "searched %d files, %.1f MB, for %d secrets of %d tests, each in %d forms:\n", files, float64(size)/1e6, r.Secrets, r.Tests, r.Forms)
	for _, kind := range kinds {
		c := r.Kinds[evidence.Kind(kind)]
		fmt.Fprintf(w, "  %-8s %8d %s, %.1f MB, the canary %d times\n", kind, c.Records, unit(evidence.Kind(kind), c.Files), float64(c.Bytes)/1e6, c.canaries)
	}
	for i, l := range r.Leaks {
		if i == mostLeaks {
			fmt.Fprintf(w, "LEAK … and %d more\n", len(r.Leaks)-i)
			break
		}
		fmt.Fprintln(w, "LEAK", l)
	}
}

func unit(kind evidence.Kind, files int) string {
	switch kind {
	case evidence.Output:
		return "lines"
	case evidence.File:
		return fmt.Sprintf("lines of %d files", files)
	}
	return "records"
}
