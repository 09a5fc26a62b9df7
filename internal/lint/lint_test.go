package lint

import (
	"fmt"
	"slices"
	"sort"
	"sync"
	"testing"
)

// finding is one breach of a rule. Its key is what an exception names.
type finding struct {
	key  string
	text string
}

func (f finding) String() string { return f.text }

// module loads the project once for all tests; they only read it.
var module = sync.OnceValues(func() ([]*File, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	return Load(root)
})

func load(t *testing.T) []*File {
	t.Helper()
	files, err := module()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// plant parses one made-up file.
func plant(t *testing.T, name, text string) []*File {
	t.Helper()
	f, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return []*File{f}
}

// exception allows one breach, for a reason.
type exception struct{ key, reason string }

// report fails the test for each finding that is no exception, and for each
// exception that is needed no more.
func report(t *testing.T, findings []finding, exceptions []exception) {
	t.Helper()
	sort.Slice(findings, func(i, j int) bool { return findings[i].text < findings[j].text })
	for _, f := range findings {
		if !slices.ContainsFunc(exceptions, func(e exception) bool { return e.key == f.key }) {
			t.Errorf("%s", f)
		}
	}
	for _, e := range exceptions {
		if e.reason == "" {
			t.Errorf("exception %s has no reason", e.key)
		}
		if !slices.ContainsFunc(findings, func(f finding) bool { return e.key == f.key }) {
			t.Errorf("exception %s is needed no more: remove it", e.key)
		}
	}
}

func at(f *File, line int, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", f.Path, line) + fmt.Sprintf(format, args...)
}
