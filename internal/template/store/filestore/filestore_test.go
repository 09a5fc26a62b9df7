package filestore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/template/store"
	"callfleet/internal/template/store/filestore"
	"callfleet/internal/template/store/storetest"
	"callfleet/internal/template/version"
)

func open(t *testing.T, dir string) *filestore.Store {
	t.Helper()
	s, err := filestore.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

func put(t *testing.T, s *filestore.Store, name, attributes string) {
	t.Helper()
	it := store.Item{Key: store.Key{Name: name, Method: "GET"}, Attributes: json.RawMessage(attributes)}
	if _, err := s.Put(t.Context(), it, store.Always()); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreReadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, dir), "v1.get user", `{"PK":{"S":"v1.get user"},"SK":{"S":"GET"},"url":{"S":"https://a/?x=<y>&z"},"timeoutSeconds":{"N":"10"}}`)
	got, err := os.ReadFile(filepath.Join(dir, "v1.get%20user.GET.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "name": "v1.get user",
  "method": "GET",
  "url": "https://a/?x=<y>&z",
  "timeoutSeconds": 10
}
`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}

// What has no plain form is kept as the item itself.
func TestItemWithoutPlainForm(t *testing.T) {
	t.Parallel()
	for _, extra := range []string{`"b":{"B":"YQ=="}`, `"s":{"SS":["a"]}`, `"n":{"NULL":false}`, `"name":{"S":"x"}`} {
		s := open(t, t.TempDir())
		item := `{"PK":{"S":"a"},"SK":{"S":"GET"},` + extra + `}`
		put(t, s, "a", item)
		got, err := s.Get(t.Context(), store.Key{Name: "a", Method: "GET"})
		if err != nil {
			t.Fatal(err)
		}
		if compact := strings.NewReplacer(" ", "", "\n", "").Replace(string(got.Attributes)); compact != item {
			t.Errorf("got %s, want %s", compact, item)
		}
	}
}

func TestFilesOfPeople(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.GET.json", `{"name":"a","method":"GET","url":"https://a"}`)
	write("README.md", "not a template")
	write(".hidden.json", "not a template")
	items, err := s.List(t.Context(), store.Key{}, 10)
	if err != nil || len(items) != 1 || items[0].Name != "a" {
		t.Fatalf("got %v, %v", items, err)
	}
	for content, want := range map[string]string{
		`{"name":"c","method":"GET"}`: `file b.GET.json holds template "c GET" and must be named c.GET.json`,
		`{"name":"b"`:                 "file b.GET.json: read template: line 1",
		`{"name":7,"method":"GET"}`:   "file b.GET.json",
		``:                            "file b.GET.json",
	} {
		write("b.GET.json", content)
		_, err := s.List(t.Context(), store.Key{}, 10)
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", content, err)
		}
	}
	write("b.GET.json", "broken")
	put(t, s, "b", `{"PK":{"S":"b"},"SK":{"S":"GET"}}`) // over the broken file
}

func TestSymbolicLinkLeadsNowhere(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret.json")
	if err := os.WriteFile(outside, []byte(`{"name":"a","method":"GET","url":"https://a"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "a.GET.json")); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, dir).Get(t.Context(), store.Key{Name: "a", Method: "GET"})
	if err == nil {
		t.Errorf("got %s from outside of the directory", got.Attributes)
	}
}

func TestFilesOfVersions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	it := store.Item{Key: store.Key{Name: "a b", Method: "GET"}, Attributes: json.RawMessage(`{"PK":{"S":"a b"},"SK":{"S":"GET"},"url":{"S":"https://a"}}`)}
	k := version.New(s, version.Options{By: "ann", Now: func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }})
	if _, err := k.Put(t.Context(), it, version.Change{Message: "first"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, ".history", "a%20b.GET.1.json"))
	want := `{
  "name": "a b",
  "method": "GET@1",
  "url": "https://a",
  "callfleetVersion": {
    "at": "2026-03-01T12:00:00Z",
    "by": "ann",
    "message": "first"
  }
}
`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".history", "a%20b.GET.2.json"), []byte(`{"name":"a b","method":"GET@3"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.History(t.Context(), it.Key); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "must be named .history/a%20b.GET.3.json") {
		t.Errorf("a version under another's name: %v", err)
	}
}

// Two processes that put at one time lose nothing: the file of a version is
// made only where there is none.
func TestStoresOfOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const writers, puts = 4, 10
	key := store.Key{Name: "a", Method: "GET"}
	var wg sync.WaitGroup
	for w := range writers {
		k := version.New(open(t, dir), version.Options{})
		wg.Go(func() {
			for i := range puts {
				attributes := fmt.Sprintf(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"https://a/%d/%d"}}`, w, i)
				if _, err := k.Put(t.Context(), store.Item{Key: key, Attributes: json.RawMessage(attributes)}, version.Change{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	history, err := version.New(open(t, dir), version.Options{}).History(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]bool{}
	for _, v := range history {
		contents[string(v.Content)] = true
	}
	if len(contents) != writers*puts {
		t.Errorf("%d of %d contents are in %d versions", len(contents), writers*puts, len(history))
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a", `{"PK":{"S":"a"},"SK":{"S":"GET"}}`)
	put(t, s, "a", `{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"x"}}`)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("got %v, %v", entries, err)
	}
}
