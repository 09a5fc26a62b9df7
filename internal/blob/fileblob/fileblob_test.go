package fileblob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/blob"
	"callfleet/internal/blob/blobtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir(), Options{}) })
}

func TestBlobsExpire(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, Options{Expiry: time.Hour})
	ref, err := s.Put(t.Context(), "a/b", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"b", "b.type"} {
		if err := os.Chtimes(filepath.Join(dir, "a", name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Get(t.Context(), ref.URL); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	open(t, dir, Options{Expiry: time.Hour})
	if _, err := os.Stat(filepath.Join(dir, "a", "b")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an expired blob is still there: %v", err)
	}
}

// A link in the directory is not followed out of it.
func TestLinksLeadNowhere(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	for _, name := range []string{"secret", "secret.type"} {
		if err := os.WriteFile(filepath.Join(other, name), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(other, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	if o, err := s.Get(t.Context(), s.prefix+"link/secret"); err == nil {
		t.Errorf("read %d bytes outside the directory", o.Bytes)
	}
}
