package local

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"callfleet/internal/localsfn/handoff"
	"callfleet/internal/template/store"
)

func raw(name, url string) json.RawMessage {
	return json.RawMessage(`{"PK":{"S":"` + name + `"},"SK":{"S":"GET"},"url":{"S":"` + url + `"}}`)
}

func TestTableIsTheStore(t *testing.T) {
	t.Parallel()
	s := table{files(t)}
	ctx := t.Context()
	key := json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"GET"}}`)
	if s.Name() != TableName || strings.Join(s.KeyNames(), " ") != "PK SK" {
		t.Errorf("table %s with keys %v", s.Name(), s.KeyNames())
	}
	if item, revision, err := s.Get(ctx, key); item != nil || revision != "" || err != nil {
		t.Fatalf("an item that is not there: %s, %q, %v", item, revision, err)
	}
	if err := s.Put(ctx, raw("a", "https://one.example/"), ""); err != nil {
		t.Fatal(err)
	}
	item, revision, err := s.Get(ctx, key)
	if err != nil || !strings.Contains(string(item), "https://one.example/") || revision == "" {
		t.Fatalf("the item: %s, %q, %v", item, revision, err)
	}
	stored, err := s.store.Get(ctx, store.Key{Name: "a", Method: "GET"})
	if err != nil || stored.Revision != revision {
		t.Errorf("the store has %+v, %v", stored, err)
	}
	if err := s.Delete(ctx, key, revision); err != nil {
		t.Fatal(err)
	}
	if item, _, err := s.Get(ctx, key); item != nil || err != nil {
		t.Errorf("a deleted item: %s, %v", item, err)
	}
}

func TestTableWritesOnItsCondition(t *testing.T) {
	t.Parallel()
	s := table{files(t)}
	ctx := t.Context()
	key := json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"GET"}}`)
	put := func(url, revision string) error { return s.Put(ctx, raw("a", url), revision) }
	if err := put("https://one.example/", "never there"); !errors.Is(err, handoff.ErrChanged) {
		t.Errorf("put on a revision of nothing: %v", err)
	}
	if err := put("https://one.example/", ""); err != nil {
		t.Fatal(err)
	}
	_, first, err := s.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := put("https://two.example/", ""); !errors.Is(err, handoff.ErrChanged) {
		t.Errorf("put if absent over an item: %v", err)
	}
	if err := put("https://two.example/", first); err != nil {
		t.Errorf("put on the revision read: %v", err)
	}
	if err := put("https://three.example/", first); !errors.Is(err, handoff.ErrChanged) {
		t.Errorf("put on an old revision: %v", err)
	}
	if err := s.Delete(ctx, key, first); !errors.Is(err, handoff.ErrChanged) {
		t.Errorf("delete on an old revision: %v", err)
	}
	if err := put("https://four.example/", handoff.Any); err != nil {
		t.Errorf("put whatever is there: %v", err)
	}
	if err := s.Delete(ctx, key, handoff.Any); err != nil {
		t.Errorf("delete whatever is there: %v", err)
	}
}

func TestTableRefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	s := table{files(t)}
	for _, key := range []string{`{}`, `{"PK":{"S":"a"}}`, `{"PK":{"N":"1"},"SK":{"S":"GET"}}`, `[]`, `{"PK":{"S":"a"},"SK":{"S":1}}`} {
		_, _, get := s.Get(t.Context(), json.RawMessage(key))
		put := s.Put(t.Context(), json.RawMessage(key), handoff.Any)
		remove := s.Delete(t.Context(), json.RawMessage(key), handoff.Any)
		for _, err := range []error{get, put, remove} {
			if !errors.Is(err, handoff.ErrInvalidItem) {
				t.Errorf("key %s: %v, want ErrInvalidItem", key, err)
			}
		}
	}
}
