// Package storetest is the suite that every template store has to pass.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"callfleet/internal/template/store"
)

// Run holds a backend to the promises of store.Store. open returns an empty
// store; it is called once per test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := c.check(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// check returns what is wrong with a store, so that the suite can be tested.
type check func(ctx context.Context, s store.Store) error

type testCase struct {
	name  string
	check check
}

func cases() []testCase {
	return []testCase{
		{"get what was put", getWhatWasPut},
		{"get what is not there", getMissing},
		{"put replaces the whole item", putReplaces},
		{"put if absent", putIfAbsent},
		{"put if revision", putIfRevision},
		{"put again after delete", putAfterDelete},
		{"delete", deleteItem},
		{"delete under a condition", deleteCondition},
		{"invalid items are refused", invalidItems},
		{"hostile keys stay apart", hostileKeys},
		{"list in key order", listInOrder},
		{"list in pages", listInPages},
		{"list of an empty store", listEmpty},
		{"one of many writers wins", oneWriterWins},
		{"context ends a call", contextEnds},
		{"versions are apart from templates", versionsApart},
		{"versions in order", versionsInOrder},
		{"versions of hostile keys stay apart", hostileVersions},
		{"a change makes a version", changeMakesVersion},
		{"what was put without versions becomes one", foundBecomesVersion},
		{"all of many writers get a version", allWritersGetVersions},
		{"writers and removers lose nothing", removersLoseNothing},
		{"rollback makes a version", rollbackMakesVersion},
		{"remove keeps versions, purge does not", removeAndPurge},
		{"old versions are pruned", oldVersionsPruned},
	}
}

// item makes a valid item whose url is u.
func item(name, method, u string) store.Item {
	quote := func(s string) string {
		b, _ := json.Marshal(s)
		return string(b)
	}
	return store.Item{
		Key: store.Key{Name: name, Method: method},
		Attributes: json.RawMessage(fmt.Sprintf(
			`{"PK":{"S":%s},"SK":{"S":%s},"url":{"S":%s},"headers":{"M":{"A":{"S":"<b>&"}}},"timeoutSeconds":{"N":"3"},`+
				`"payload":{"M":{"l":{"L":[{"N":"1.50"},{"BOOL":true},{"NULL":true},{"S":"ü\u0000\n"}]}}}}`,
			quote(name), quote(method), quote(u))),
	}
}

// want compares what is stored with what is expected.
func want(ctx context.Context, s store.Store, it store.Item, revision string) error {
	got, err := s.Get(ctx, it.Key)
	if err != nil {
		return fmt.Errorf("get %q: %w", it.Key, err)
	}
	if got.Key != it.Key {
		return fmt.Errorf("get %q: has key %q", it.Key, got.Key)
	}
	if got.Revision != revision {
		return fmt.Errorf("get %q: has revision %q, put returned %q", it.Key, got.Revision, revision)
	}
	return sameJSON(got.Attributes, it.Attributes)
}

func sameJSON(a, b json.RawMessage) error {
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		return fmt.Errorf("stored item: %w", err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		return err
	}
	if !reflect.DeepEqual(x, y) {
		return fmt.Errorf("stored item is %s, put was %s", a, b)
	}
	return nil
}

// is complains unless err is the wanted one.
func is(what string, err, target error) error {
	if !errors.Is(err, target) {
		return fmt.Errorf("%s: got %v, want %v", what, err, target)
	}
	return nil
}

func getWhatWasPut(ctx context.Context, s store.Store) error {
	it := item("get-user", "GET", "https://example.com/{{ id }}")
	rev, err := s.Put(ctx, it, store.Always())
	if err != nil {
		return err
	}
	if rev == "" {
		return errors.New("put returned no revision")
	}
	return want(ctx, s, it, rev)
}

func getMissing(ctx context.Context, s store.Store) error {
	if _, err := s.Put(ctx, item("a", "GET", "u"), store.Always()); err != nil {
		return err
	}
	for _, k := range []store.Key{{Name: "a", Method: "POST"}, {Name: "b", Method: "GET"}, {Name: "A", Method: "GET"}, {}} {
		_, err := s.Get(ctx, k)
		if err := is(fmt.Sprintf("get %q", k), err, store.ErrNotFound); err != nil {
			return err
		}
	}
	return nil
}

func putReplaces(ctx context.Context, s store.Store) error {
	first := item("a", "GET", "one")
	one, err := s.Put(ctx, first, store.Always())
	if err != nil {
		return err
	}
	second := store.Item{Key: first.Key, Attributes: json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"two"}}`)}
	two, err := s.Put(ctx, second, store.Always())
	if err != nil {
		return err
	}
	if one == two {
		return errors.New("the revision did not change")
	}
	return want(ctx, s, second, two)
}

func putIfAbsent(ctx context.Context, s store.Store) error {
	first := item("a", "GET", "one")
	rev, err := s.Put(ctx, first, store.IfAbsent())
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, item("a", "GET", "two"), store.IfAbsent())
	if err := is("put over an item", err, store.ErrConflict); err != nil {
		return err
	}
	return want(ctx, s, first, rev)
}

func putIfRevision(ctx context.Context, s store.Store) error {
	one, err := s.Put(ctx, item("a", "GET", "one"), store.Always())
	if err != nil {
		return err
	}
	second := item("a", "GET", "two")
	two, err := s.Put(ctx, second, store.IfRevision(one))
	if err != nil {
		return fmt.Errorf("put over the revision that is there: %w", err)
	}
	for _, revision := range []string{one, "", "nonsense"} {
		_, err = s.Put(ctx, item("a", "GET", "three"), store.IfRevision(revision))
		if err := is(fmt.Sprintf("put over revision %q", revision), err, store.ErrConflict); err != nil {
			return err
		}
	}
	_, err = s.Put(ctx, item("b", "GET", "one"), store.IfRevision(two))
	if err := is("put over nothing", err, store.ErrConflict); err != nil {
		return err
	}
	return want(ctx, s, second, two)
}

func putAfterDelete(ctx context.Context, s store.Store) error {
	it := item("a", "GET", "one")
	rev, err := s.Put(ctx, it, store.IfAbsent())
	if err != nil {
		return err
	}
	if err := s.Delete(ctx, it.Key, store.Always()); err != nil {
		return err
	}
	_, err = s.Put(ctx, it, store.IfRevision(rev))
	if err := is("put over the revision that was deleted", err, store.ErrConflict); err != nil {
		return err
	}
	if rev, err = s.Put(ctx, it, store.IfAbsent()); err != nil {
		return fmt.Errorf("put after delete: %w", err)
	}
	return want(ctx, s, it, rev)
}

func deleteItem(ctx context.Context, s store.Store) error {
	kept := item("a", "POST", "kept")
	rev, err := s.Put(ctx, kept, store.Always())
	if err != nil {
		return err
	}
	gone := item("a", "GET", "gone")
	if _, err := s.Put(ctx, gone, store.Always()); err != nil {
		return err
	}
	for range 2 { // the second time it is not there
		if err := s.Delete(ctx, gone.Key, store.Always()); err != nil {
			return err
		}
		_, err := s.Get(ctx, gone.Key)
		if err := is("get what was deleted", err, store.ErrNotFound); err != nil {
			return err
		}
	}
	items, err := s.List(ctx, store.Key{}, 10)
	if err != nil || len(items) != 1 {
		return fmt.Errorf("list after delete: %d items, %v", len(items), err)
	}
	return want(ctx, s, kept, rev)
}

func deleteCondition(ctx context.Context, s store.Store) error {
	it := item("a", "GET", "one")
	one, err := s.Put(ctx, it, store.Always())
	if err != nil {
		return err
	}
	it = item("a", "GET", "two")
	two, err := s.Put(ctx, it, store.Always())
	if err != nil {
		return err
	}
	for what, c := range map[string]store.Condition{
		"an old revision": store.IfRevision(one), "no revision": store.IfRevision("x"), "absent": store.IfAbsent(),
	} {
		if err := is("delete if "+what, s.Delete(ctx, it.Key, c), store.ErrConflict); err != nil {
			return err
		}
	}
	if err := want(ctx, s, it, two); err != nil {
		return err
	}
	if err := s.Delete(ctx, it.Key, store.IfRevision(two)); err != nil {
		return fmt.Errorf("delete the revision that is there: %w", err)
	}
	if err := s.Delete(ctx, it.Key, store.IfAbsent()); err != nil {
		return fmt.Errorf("delete if absent: %w", err)
	}
	return is("delete again", s.Delete(ctx, it.Key, store.IfRevision(two)), store.ErrConflict)
}

func invalidItems(ctx context.Context, s store.Store) error {
	key := store.Key{Name: "a", Method: "GET"}
	for _, attributes := range []string{
		``, `null`, `7`, `[]`, `{`, `{}`, `{"PK":{"S":"a"}}`, `{"PK":{"S":"b"},"SK":{"S":"GET"}}`, `{"PK":{"S":"a"},"SK":{"S":"POST"}}`,
		`{"PK":{"N":"1"},"SK":{"S":"GET"}}`, `{"PK":"a","SK":"GET"}`, `{"PK":{"S":"a"},"SK":{"S":"GET"},"url":"x"}`,
		`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":1}}`, `{"PK":{"S":"a"},"SK":{"S":"GET"},"x":{"M":{"a":{"Q":"1"}}}}`,
	} {
		_, err := s.Put(ctx, store.Item{Key: key, Attributes: json.RawMessage(attributes)}, store.Always())
		if err := is("put "+attributes, err, store.ErrInvalid); err != nil {
			return err
		}
	}
	_, err := s.Get(ctx, key)
	return is("get what was refused", err, store.ErrNotFound)
}

// hostileNames would leave a directory, split a subject or end a key in a
// backend that does not encode them.
func hostileNames() []string {
	return []string{
		"a", "a.b", "a.b.c", ".", "..", ".a", "a.", "../a", "../../etc/passwd", "/etc/passwd", "a/b", `a\b`, "a b", "a%b", "a%2Eb", "a=2Eb",
		"*", ">", "a.*", "a.>", "$JS.API", "ü", "日本", "😀", "a~b", "a:b", "con", "a?b#c", "'\"`;--", strings.Repeat("x", 1024), strings.Repeat("ü", 512),
	}
}

func hostileKeys(ctx context.Context, s store.Store) error {
	revisions := map[string]string{}
	for _, name := range hostileNames() {
		rev, err := s.Put(ctx, item(name, "GET", name), store.IfAbsent())
		if err != nil {
			return fmt.Errorf("put %q: %w", name, err)
		}
		revisions[name] = rev
	}
	for name, rev := range revisions {
		if err := want(ctx, s, item(name, "GET", name), rev); err != nil {
			return err
		}
	}
	items, err := s.List(ctx, store.Key{}, 1000)
	if err != nil || len(items) != len(revisions) {
		return fmt.Errorf("list: %d items of %d, %v", len(items), len(revisions), err)
	}
	return nil
}

func fill(ctx context.Context, s store.Store) ([]store.Key, error) {
	// In key order: by name, then by method.
	keys := []store.Key{
		{Name: "A", Method: "GET"}, {Name: "a", Method: "GET"}, {Name: "a", Method: "POST"}, {Name: "a-b", Method: "GET"},
		{Name: "a.b", Method: "GET"}, {Name: "ab", Method: "GET"}, {Name: "b", Method: "DELETE"}, {Name: "ü", Method: "GET"},
	}
	for i := range keys {
		k := keys[(i*3)%len(keys)] // put in another order
		if _, err := s.Put(ctx, item(k.Name, k.Method, k.String()), store.IfAbsent()); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func listInOrder(ctx context.Context, s store.Store) error {
	keys, err := fill(ctx, s)
	if err != nil {
		return err
	}
	items, err := s.List(ctx, store.Key{}, 100)
	if err != nil {
		return err
	}
	var got []store.Key
	for _, it := range items {
		got = append(got, it.Key)
		if err := want(ctx, s, item(it.Name, it.Method, it.Key.String()), it.Revision); err != nil {
			return err
		}
		if err := sameJSON(it.Attributes, item(it.Name, it.Method, it.Key.String()).Attributes); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(got, keys) {
		return fmt.Errorf("list is %q, want %q", got, keys)
	}
	return nil
}

func listInPages(ctx context.Context, s store.Store) error {
	keys, err := fill(ctx, s)
	if err != nil {
		return err
	}
	var got []store.Key
	for after := (store.Key{}); ; after = got[len(got)-1] {
		items, err := s.List(ctx, after, 3)
		if err != nil {
			return err
		}
		if len(items) > 3 {
			return fmt.Errorf("a page of 3 has %d items", len(items))
		}
		for _, it := range items {
			got = append(got, it.Key)
		}
		if len(items) < 3 {
			break
		}
	}
	if !reflect.DeepEqual(got, keys) {
		return fmt.Errorf("pages are %q, want %q", got, keys)
	}
	// A key that is not there is a place in the order all the same.
	items, err := s.List(ctx, store.Key{Name: "a", Method: "H"}, 1)
	if err != nil || len(items) != 1 || items[0].Key != keys[2] {
		return fmt.Errorf("list after a key that is not there: %v, %v", items, err)
	}
	return nil
}

func listEmpty(ctx context.Context, s store.Store) error {
	items, err := s.List(ctx, store.Key{}, 10)
	if err != nil || len(items) != 0 {
		return fmt.Errorf("got %v, %v", items, err)
	}
	return nil
}

func oneWriterWins(ctx context.Context, s store.Store) error {
	const writers = 8
	base, err := s.Put(ctx, item("b", "GET", "base"), store.Always())
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards wins and bad
	wins := map[string]int{}
	var bad error
	for i := range writers {
		wg.Go(func() {
			u := fmt.Sprint("writer ", i)
			_, errA := s.Put(ctx, item("a", "GET", u), store.IfAbsent())
			_, errB := s.Put(ctx, item("b", "GET", u), store.IfRevision(base))
			mu.Lock()
			defer mu.Unlock()
			for name, err := range map[string]error{"a": errA, "b": errB} {
				switch {
				case err == nil:
					wins[name]++
				case !errors.Is(err, store.ErrConflict):
					bad = err
				}
			}
		})
	}
	wg.Wait()
	if bad != nil || wins["a"] != 1 || wins["b"] != 1 {
		return fmt.Errorf("if absent %d and if revision %d of %d writers won, want 1 each; %v", wins["a"], wins["b"], writers, bad)
	}
	return nil
}

func contextEnds(ctx context.Context, s store.Store) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Get(ctx, store.Key{Name: "a", Method: "GET"}); err == nil || errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("get: got %v", err)
	}
	if _, err := s.Put(ctx, item("a", "GET", "x"), store.Always()); err == nil {
		return errors.New("put: got no error")
	}
	if _, err := s.List(ctx, store.Key{}, 1); err == nil {
		return errors.New("list: got no error")
	}
	return nil
}
