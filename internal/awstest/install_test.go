package awstest

import (
	"archive/zip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Of many who install at once, one does, and all have it.
func TestInstallOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache", "thing-1")
	var fills atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got, err := installInto(t.Context(), dir, func(_ context.Context, dir string) error {
				fills.Add(1)
				return os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600)
			})
			if err != nil || got != dir {
				t.Errorf("got %q, %v", got, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "file")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("installed %d times", n)
	}
}

// An installation that fails leaves nothing that looks like one.
func TestInstallFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "thing-1")
	bad := errors.New("no network")
	fill := func(_ context.Context, dir string) error {
		return errors.Join(bad, os.WriteFile(filepath.Join(dir, "half"), nil, 0o600))
	}
	if _, err := installInto(t.Context(), dir, fill); !errors.Is(err, bad) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v", err)
	}
	if _, err := installInto(t.Context(), dir, func(_ context.Context, dir string) error {
		if exists(filepath.Join(dir, "half")) {
			t.Error("the rest of the failed one is there")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A virtual environment works where it is moved to, and says what went wrong.
func TestInstallPython(t *testing.T) {
	t.Parallel()
	wheel := makeWheel(t)
	dir, err := installInto(t.Context(), filepath.Join(t.TempDir(), "thing-1"), func(ctx context.Context, dir string) error {
		return installPython(ctx, dir, wheel)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := command(t.Context(), python(dir), "-c", "import thing; assert thing.answer == 42"); err != nil {
		t.Error(err)
	}
	err = command(t.Context(), python(dir), "-c", "import nothing")
	if err == nil || !strings.Contains(err.Error(), "No module named 'nothing'") {
		t.Errorf("got %v", err)
	}
}

// makeWheel makes a Python package of one module.
func makeWheel(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "thing-1-py3-none-any.whl")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(file)
	for name, text := range map[string]string{
		"thing.py":                   "answer = 42\n",
		"thing-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: thing\nVersion: 1\n",
		"thing-1.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"thing-1.dist-info/RECORD":   "",
	} {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// A program of another version, or one that is not there, is missing.
func TestLaunchFindsOutWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := launch(t.Context(), t.TempDir(), "python3", "-c", motoServer, "0.0.0")
	if !errors.Is(err, errMissing) || !strings.Contains(err.Error(), "not 0.0.0") {
		t.Errorf("got %v", err)
	}
	_, err = launch(t.Context(), t.TempDir(), "python3", "-c", "raise ValueError('broken')")
	if err == nil || errors.Is(err, errMissing) || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
}
