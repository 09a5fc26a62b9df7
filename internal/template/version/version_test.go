package version_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/template/store"
	"callfleet/internal/template/store/filestore"
	"callfleet/internal/template/version"
)

// What all backends promise is tested with them (storetest); here is what a
// store cannot be asked to do: to fail at a certain step.

var key = store.Key{Name: "a", Method: "GET"}

func item(url string) store.Item {
	return store.Item{Key: key, Attributes: json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"` + url + `"}}`)}
}

func open(t *testing.T) *filestore.Store {
	t.Helper()
	s, err := filestore.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t *testing.T, s store.Store, urls ...string) {
	t.Helper()
	for _, url := range urls {
		if _, err := version.New(s, version.Options{}).Put(t.Context(), item(url), version.Change{}); err != nil {
			t.Fatal(err)
		}
	}
}

func history(t *testing.T, s store.Store) (numbers []int, current int) {
	t.Helper()
	list, err := version.New(s, version.Options{}).History(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		numbers = append(numbers, v.Number)
		if v.Current {
			current = v.Number
		}
	}
	return numbers, current
}

// before runs a function once before the first write of a template's current
// item, or fails that write with its error.
type before struct {
	store.Store
	do func() error
}

func (b *before) Put(ctx context.Context, it store.Item, c store.Condition) (string, error) {
	if _, n := it.Cut(); n == 0 && b.do != nil {
		do := b.do
		b.do = nil
		if err := do(); err != nil {
			return "", err
		}
	}
	return b.Store.Put(ctx, it, c)
}

// A put that ends between its two writes leaves the template as it was. The
// same put again takes up the version that it left, another makes the next.
func TestInterruptedPut(t *testing.T) {
	t.Parallel()
	killed := errors.New("killed")
	for again, want := range map[string]version.Result{
		"two": {Version: 2}, "three": {Version: 3, Made: true},
	} {
		s := open(t)
		put(t, s, "one")
		_, err := version.New(&before{s, func() error { return killed }}, version.Options{}).Put(t.Context(), item("two"), version.Change{})
		if !errors.Is(err, killed) || !strings.Contains(err.Error(), "version 2 is stored, but it is not current") {
			t.Errorf("interrupted: %v", err)
		}
		if numbers, current := history(t, s); !reflect.DeepEqual(numbers, []int{2, 1}) || current != 1 {
			t.Errorf("after the interrupt: %v, current %d", numbers, current)
		}
		got, err := version.New(s, version.Options{}).Put(t.Context(), item(again), version.Change{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("put %s: %+v, %v; want %+v", again, got, err, want)
		}
		if _, current := history(t, s); current != want.Version {
			t.Errorf("current after put %s: %d", again, current)
		}
	}
}

// The later of two puts stays current though the earlier comes to its second
// write after it.
func TestLaterPutStaysCurrent(t *testing.T) {
	t.Parallel()
	s := open(t)
	put(t, s, "one")
	got, err := version.New(&before{s, func() error { put(t, s, "three"); return nil }}, version.Options{}).Put(t.Context(), item("two"), version.Change{})
	if want := (version.Result{Version: 2, Made: true, Later: 3}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if numbers, current := history(t, s); !reflect.DeepEqual(numbers, []int{3, 2, 1}) || current != 3 {
		t.Errorf("history %v, current %d", numbers, current)
	}
}

// What is edited by other means between the two writes is kept.
func TestEditBetweenWrites(t *testing.T) {
	t.Parallel()
	s := open(t)
	put(t, s, "one")
	edit := func() error {
		_, err := s.Put(t.Context(), item("edited"), store.Always())
		return err
	}
	got, err := version.New(&before{s, edit}, version.Options{}).Put(t.Context(), item("two"), version.Change{})
	if want := (version.Result{Version: 2, Made: true, Found: 3, Later: 3}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	k := version.New(open(t), version.Options{})
	pinned := store.Item{Key: key.At(3), Attributes: json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"GET@3"}}`)}
	for want, try := range map[string]struct {
		item    store.Item
		message string
	}{
		`a version is never changed: put "a GET"`:  {item: pinned},
		"the message has 1001 bytes, at most 1000": {item: item("x"), message: strings.Repeat("x", version.MaxMessage+1)},
		"is not a JSON object":                     {item: store.Item{Key: key, Attributes: json.RawMessage(`7`)}},
	} {
		if _, err := k.Put(t.Context(), try.item, version.Change{Message: try.message}); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A version is not a template, that could be removed, purged or rolled back.
func TestVersionsAreNoTemplates(t *testing.T) {
	t.Parallel()
	s := open(t)
	put(t, s, "http://1", "http://2")
	k := version.New(s, version.Options{})
	_, removed := k.Remove(t.Context(), key.At(1))
	_, purged := k.Purge(t.Context(), key.At(1))
	for what, err := range map[string]error{"remove": removed, "purge": purged} {
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "version") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := k.Rollback(t.Context(), key.At(1), 1, ""); err == nil {
		t.Error("a version is rolled back")
	}
	if numbers, current := history(t, s); !reflect.DeepEqual(numbers, []int{2, 1}) || current != 2 {
		t.Errorf("versions %v, current %d", numbers, current)
	}
}

// The same number is the same version on the wire and in the store.
func TestKeysAgreeWithRequests(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "GET@0", "GET@1", "GET@3", "GET@03", "GET@+3", "GET@", "@3", "GET@3@4", "GET@999999999", "GET@1000000000", "GET@x"} {
		base, n := call.CutVersion(method)
		k, number := store.Key{Name: "a", Method: method}.Cut()
		if k.Method != base || number != n {
			t.Errorf("%s: a request pins %s %d, the store has %s %d", method, base, n, k.Method, number)
		}
		if call.PinMethod(base, n) != method || k.At(number).Method != method {
			t.Errorf("%s becomes %s and %s", method, call.PinMethod(base, n), k.At(number).Method)
		}
	}
	if call.MaxVersion != store.MaxVersion {
		t.Errorf("%d and %d versions", call.MaxVersion, store.MaxVersion)
	}
}

// A template that came out of a history can be put again, and a number may come
// back in another notation.
func TestSameContent(t *testing.T) {
	t.Parallel()
	s := open(t)
	k := version.New(s, version.Options{})
	for i, attributes := range []string{
		`{"PK":{"S":"a"},"SK":{"S":"GET"},"n":{"N":"1.50"},"set":{"NS":["1","20"]},"m":{"M":{"a":{"L":[{"N":"3"},{"BOOL":true}]},"b":{"NULL":true}}}}`,
		`{"SK":{"S":"GET"},"PK":{"S":"a"},"m":{"M":{"b":{"NULL":true},"a":{"L":[{"N":"3.0"},{"BOOL": true}]}}},"set":{"NS":["2e1","1.0"]},"n":{"N":"1.5"},"callfleetRevision":{"S":"copied"},"callfleetVersion":{"M":{"message":{"S":"x"}}}}`,
	} {
		got, err := k.Put(t.Context(), store.Item{Key: key, Attributes: json.RawMessage(attributes)}, version.Change{})
		if err != nil || got.Version != 1 || got.Made != (i == 0) {
			t.Errorf("%s: %+v, %v", attributes, got, err)
		}
	}
	it, err := k.Get(t.Context(), key, 1)
	if err != nil || strings.Contains(string(it.Attributes), "callfleetVersion") || !strings.Contains(string(it.Attributes), `"SK":{"S":"GET"}`) {
		t.Errorf("version 1 is %s, %v", it.Attributes, err)
	}
}

func TestUnknownVersion(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*version.UnknownError{
		"template a GET has no version 9, only 1 to 3, 5, 7 to 8;":    {Template: key, Version: 9, Known: []int{1, 2, 3, 5, 7, 8}},
		"template a GET has no version 9: it has no versions yet, th": {Template: key, Version: 9},
	} {
		if !strings.HasPrefix(e.Error(), want) || !errors.Is(e, store.ErrNotFound) {
			t.Errorf("got %v, want %s", e, want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	got := version.Text(json.RawMessage(`{"timeoutSeconds":{"N":"10"},"payload":{"M":{"b":{"S":"{{ b }}"},"a":{"L":[{"N":"1"},{"BOOL":true},{"NULL":true}]},"c":{"M":{}},"d":{"L":[]}}},
		"headers":{"M":{"X":{"S":"<&>"}}},"url":{"S":"https://h/"},"SK":{"S":"GET"},"PK":{"S":"a"},"text":{"S":"one\ntwo"},"lines":{"S":"one\n\n"},"odd":{"S":"a\n\u0000"},"set":{"SS":["x"]}}`))
	want := `name: "a"
method: "GET"
url: "https://h/"
headers.X: "<&>"
payload.a[0]: 1
payload.a[1]: true
payload.a[2]: null
payload.b: "{{ b }}"
payload.c: {}
payload.d: []
lines:
  one
  
odd: "a\n\u0000"
set: {"SS":["x"]}
text:
  one
  two
  (no line end)
timeoutSeconds: 10
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
