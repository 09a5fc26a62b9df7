package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"callfleet/internal/template/store"
)

func TestSuitePassesARightStore(t *testing.T) {
	t.Parallel()
	Run(t, func(*testing.T) store.Store { return newMemory("") })
}

// Each fault must be found by the case that is about it.
func TestSuiteFindsFaults(t *testing.T) {
	t.Parallel()
	for fault, by := range map[string]string{
		"loses attributes":         "get what was put",
		"ignores method":           "get what is not there",
		"ignores case":             "get what is not there",
		"keeps the first":          "put replaces the whole item",
		"constant revision":        "put replaces the whole item",
		"ignores absent":           "put if absent",
		"ignores revision":         "put if revision",
		"any revision on nothing":  "put if revision",
		"deleted stays taken":      "put again after delete",
		"delete does nothing":      "delete",
		"delete takes all":         "delete",
		"delete ignores condition": "delete under a condition",
		"checks nothing":           "invalid items are refused",
		"joins keys by a dot":      "hostile keys stay apart",
		"lists in no order":        "list in key order",
		"lists without limit":      "list in pages",
		"lists from after":         "list in pages",
		"lists a ghost":            "list of an empty store",
		"no lock":                  "one of many writers wins",
		"ignores context":          "context ends a call",
		"lists versions":           "versions are apart from templates",
		"versions in text order":   "versions in order",
		"versions by prefix":       "versions of hostile keys stay apart",
		"versions need a template": "remove keeps versions, purge does not",
		"overwrites versions":      "all of many writers get a version",
		"forgets a version":        "a change makes a version",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(cases(), func(c testCase) bool { return c.name == by })
			if i < 0 {
				t.Fatalf("there is no case %q", by)
			}
			if err := cases()[i].check(t.Context(), newMemory(fault)); err == nil {
				t.Errorf("case %q does not find it", by)
			}
		})
	}
}

// memory is a store with at most one fault.
type memory struct {
	fault string
	mu    sync.Mutex // guards all below
	items map[string]store.Item
	next  int
	taken map[string]bool
}

func newMemory(fault string) *memory {
	return &memory{fault: fault, items: map[string]store.Item{}, taken: map[string]bool{}}
}

func (m *memory) key(k store.Key) string {
	switch m.fault {
	case "ignores method":
		return k.Name
	case "ignores case":
		return strings.ToLower(k.Name) + "\x00" + k.Method
	case "joins keys by a dot":
		return strings.ReplaceAll(k.Name, "/", ".") + "." + k.Method
	}
	return k.Name + "\x00" + k.Method
}

func (m *memory) Get(ctx context.Context, k store.Key) (store.Item, error) {
	if ctx.Err() != nil && m.fault != "ignores context" {
		return store.Item{}, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	it, ok := m.items[m.key(k)]
	if !ok {
		return store.Item{}, store.ErrNotFound
	}
	if m.fault == "loses attributes" {
		it.Attributes = json.RawMessage(`{"PK":{"S":"a"}}`)
	}
	it.Key = k
	return it, nil
}

// holds is called with mu held.
func (m *memory) holds(k store.Key, c store.Condition) error {
	it, ok := m.items[m.key(k)]
	if _, n := k.Cut(); n > 0 && m.fault == "overwrites versions" {
		return nil
	}
	if c.Absent() && (ok || m.taken[m.key(k)]) && m.fault != "ignores absent" && m.fault != "no lock" {
		return store.ErrConflict
	}
	if r, is := c.Revision(); is && m.fault != "ignores revision" {
		if !ok && m.fault != "any revision on nothing" || ok && r != it.Revision && m.fault != "no lock" {
			return store.ErrConflict
		}
	}
	return nil
}

func (m *memory) Put(ctx context.Context, it store.Item, c store.Condition) (string, error) {
	if m.fault != "checks nothing" {
		if err := store.Check(it); err != nil {
			return "", err
		}
	}
	if ctx.Err() != nil && m.fault != "ignores context" {
		return "", ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.holds(it.Key, c); err != nil {
		return "", err
	}
	old, ok := m.items[m.key(it.Key)]
	if m.fault == "keeps the first" && ok {
		return old.Revision, nil
	}
	if m.next++; m.fault == "constant revision" {
		m.next = 1
	}
	it.Revision = strconv.Itoa(m.next)
	m.items[m.key(it.Key)] = it
	return it.Revision, nil
}

func (m *memory) Delete(_ context.Context, k store.Key, c store.Condition) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fault != "delete ignores condition" {
		if err := m.holds(k, c); err != nil {
			return err
		}
	}
	switch m.fault {
	case "delete does nothing":
	case "delete takes all":
		clear(m.items)
	case "deleted stays taken":
		m.taken[m.key(k)] = true
		fallthrough
	default:
		delete(m.items, m.key(k))
	}
	return nil
}

func (m *memory) List(ctx context.Context, after store.Key, limit int) ([]store.Item, error) {
	if ctx.Err() != nil && m.fault != "ignores context" {
		return nil, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var items []store.Item
	for _, it := range m.items {
		if _, n := it.Cut(); n > 0 && m.fault != "lists versions" {
			continue
		}
		order := store.Compare(it.Key, after)
		if order > 0 || order == 0 && m.fault == "lists from after" {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b store.Item) int {
		if m.fault == "lists in no order" {
			return store.Compare(b.Key, a.Key)
		}
		return store.Compare(a.Key, b.Key)
	})
	if m.fault == "lists a ghost" {
		items = append(items, store.Item{})
	}
	if m.fault == "lists without limit" {
		return items, nil
	}
	return items[:min(limit, len(items))], nil
}

func (m *memory) Versions(ctx context.Context, k store.Key) ([]store.Item, error) {
	if ctx.Err() != nil && m.fault != "ignores context" {
		return nil, ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.items[m.key(k)]; !ok && m.fault == "versions need a template" {
		return nil, nil
	}
	var items []store.Item
	for _, it := range m.items {
		base, n := it.Cut()
		if it.Of(k) && (m.fault != "forgets a version" || n != 2) ||
			m.fault == "versions by prefix" && n > 0 && strings.HasPrefix(base.Name, k.Name) {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b store.Item) int {
		if m.fault == "versions in text order" {
			return store.Compare(a.Key, b.Key)
		}
		return store.CompareVersions(a.Key, b.Key)
	})
	return items, nil
}
