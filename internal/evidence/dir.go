package evidence

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Dir is a directory for a test, removed with it, whose files are kept: what a
// broker stored, journals, files of results. Secrets that a test itself writes
// belong into t.TempDir.
//
// The files are kept when what the test cleans up later has ended; so ask for
// the directory before starting what writes there.
func Dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if Enabled() {
		t.Cleanup(func() {
			if err := keep(t.Name(), dir); err != nil {
				t.Errorf("keep evidence: %v", err)
			}
		})
	}
	return dir
}

// keep links the files below from into the evidence, so that they stay when
// they are removed where they are.
func keep(test, from string) error {
	all := filepath.Join(directory(), string(File))
	if err := os.MkdirAll(all, 0o700); err != nil {
		return err
	}
	to, err := os.MkdirTemp(all, strings.NewReplacer("/", "_", `\`, "_", "*", "_").Replace(test)+"-")
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, rel)), 0o700); err != nil {
			return err
		}
		return link(name, filepath.Join(to, rel))
	})
}

// link links a file, or copies it where it cannot be linked.
func link(from, to string) error {
	if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}
