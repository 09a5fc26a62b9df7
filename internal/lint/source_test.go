package lint

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLoadSkipsWhatIsNotOfTheModule(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                 "module m\n",
		"a/a.go":                 "package a\n",
		"a/a_test.go":            "package a\n",
		"a/generate.go":          "//go:build ignore\n\npackage main\n",
		"a/linux.go":             "//go:build linux\n\npackage a\n",
		"a/testdata/x.go":        "no Go at all",
		".git/x.go":              "no Go at all",
		"deploy/go.mod":          "module deploy\n",
		"deploy/stack/deploy.go": "no Go at all",
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Path)
	}
	if want := []string{"a/a.go", "a/a_test.go", "a/linux.go"}; !slices.Equal(got, want) {
		t.Errorf("loaded %v, want %v", got, want)
	}
}

func TestLoadReportsWhatIsNoGo(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "x.go"), []byte("no Go"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(root); err == nil {
		t.Error("no error")
	}
}

func TestCodeLines(t *testing.T) {
	t.Parallel()
	const text = "// Package p is planted.\npackage p\n\n/* a\nb */\nvar x = `1\n2\n3` // three lines\n\nfunc f() {\n}\n"
	if got := codeLines([]byte(text)); got != 6 {
		t.Errorf("codeLines = %d, want 6", got)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, pattern string
		want          bool
	}{
		{"internal/app", "internal/app", true},
		{"internal/app/fleet", "internal/app", false},
		{"internal/app", "internal/app/...", true},
		{"internal/app/fleet", "internal/app/...", true},
		{"internal/apple", "internal/app/...", false},
		{"anything/at/all", "...", true},
	} {
		if got := Match(row.name, row.pattern); got != row.want {
			t.Errorf("Match(%s, %s) = %v, want %v", row.name, row.pattern, got, row.want)
		}
	}
}
