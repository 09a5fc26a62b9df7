// Package storetest holds every store of flow keys to the same promises.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/limit/store"
)

// Run tests the store that open makes, anew for each test.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"get and put": getAndPut, "conflicts": conflicts, "delete": deletes, "list": lists, "odd keys": oddKeys, "race": race, "watch": watch,
		"watch ends": watchEnds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func put(t *testing.T, s store.Store, key, value string, revision uint64) uint64 {
	t.Helper()
	r, err := s.Put(t.Context(), key, []byte(value), revision)
	if err != nil {
		t.Fatal(err)
	}
	if r <= revision {
		t.Fatalf("revision %d after %d, want a higher one", r, revision)
	}
	return r
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error = %v, want %v", err, want)
	}
}

func getAndPut(t *testing.T, s store.Store) {
	_, err := s.Get(t.Context(), "a")
	wants(t, err, store.ErrNotFound)
	first := put(t, s, "a", "one", 0)
	second := put(t, s, "a", "two", first)
	e, err := s.Get(t.Context(), "a")
	if err != nil || e.Key != "a" || string(e.Value) != "two" || e.Revision != second {
		t.Errorf("got %+v, %v, want two at %d", e, err, second)
	}
}

func conflicts(t *testing.T, s store.Store) {
	first := put(t, s, "a", "one", 0)
	second := put(t, s, "a", "two", first)
	for _, revision := range []uint64{0, first, second + 1} {
		_, err := s.Put(t.Context(), "a", []byte("three"), revision)
		wants(t, err, store.ErrConflict)
	}
	_, err := s.Put(t.Context(), "b", []byte("one"), first)
	wants(t, err, store.ErrConflict)
	if e, err := s.Get(t.Context(), "a"); err != nil || string(e.Value) != "two" {
		t.Errorf("got %s, %v, want two", e.Value, err)
	}
}

func deletes(t *testing.T, s store.Store) {
	wants(t, s.Delete(t.Context(), "a", 1), store.ErrConflict)
	first := put(t, s, "a", "one", 0)
	second := put(t, s, "a", "two", first)
	wants(t, s.Delete(t.Context(), "a", first), store.ErrConflict)
	wants(t, s.Delete(t.Context(), "a", second), nil)
	_, err := s.Get(t.Context(), "a")
	wants(t, err, store.ErrNotFound)
	wants(t, s.Delete(t.Context(), "a", second), store.ErrConflict)
	if third := put(t, s, "a", "three", 0); third <= second {
		t.Errorf("revision %d after a removal at %d, want a higher one", third, second)
	}
}

func lists(t *testing.T, s store.Store) {
	if all, err := s.List(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("an empty store lists %v, %v", all, err)
	}
	want := []string{}
	for i := range 30 {
		key := fmt.Sprintf("key-%02d", i)
		revision := put(t, s, key, key, 0)
		if i%3 == 0 {
			wants(t, s.Delete(t.Context(), key, revision), nil)
		} else {
			want = append(want, key)
		}
	}
	all, err := s.List(t.Context())
	var got []string
	for _, e := range all {
		if string(e.Value) != e.Key || e.Revision == 0 {
			t.Errorf("entry %+v", e)
		}
		got = append(got, e.Key)
	}
	if slices.Sort(got); err != nil || !slices.Equal(got, want) {
		t.Errorf("listed %v, %v, want %v", got, err, want)
	}
}

func oddKeys(t *testing.T, s store.Store) {
	for _, key := range []string{"api.example.com:8080", "[::1]:9", "*", ">", "a/b#c?d=e", "ns$x", strings.Repeat("k", 256)} {
		put(t, s, key, key, 0)
		if e, err := s.Get(t.Context(), key); err != nil || string(e.Value) != key {
			t.Errorf("%s: got %+v, %v", key, e, err)
		}
	}
}

// race: of writers at one revision, one wins each time.
func race(t *testing.T, s store.Store) {
	var all sync.WaitGroup
	const writers, each = 4, 10
	for range writers {
		all.Go(func() {
			for range each {
				for {
					e, err := s.Get(t.Context(), "n")
					if err != nil && !errors.Is(err, store.ErrNotFound) {
						t.Error(err)
						return
					}
					_, err = s.Put(t.Context(), "n", append(slices.Clone(e.Value), 'x'), e.Revision)
					if err == nil {
						break
					}
					if !errors.Is(err, store.ErrConflict) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if e, err := s.Get(t.Context(), "n"); err != nil || len(e.Value) != writers*each {
		t.Errorf("%d writes are left of %d, %v", len(e.Value), writers*each, err)
	}
}

func watch(t *testing.T, s store.Store) {
	first := put(t, s, "before", "one", 0)
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended := make(chan store.Entry, 64), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func(e store.Entry) { seen <- e }) }()
	last := map[string]uint64{}
	await := func(key, value string) {
		t.Helper()
		late := time.After(10 * time.Second)
		for {
			select {
			case e := <-seen:
				if e.Revision < last[e.Key] {
					t.Errorf("%s: revision %d after %d", e.Key, e.Revision, last[e.Key])
				}
				last[e.Key] = e.Revision
				if e.Key == key && string(e.Value) == value && (e.Value == nil) == (value == "") {
					return
				}
			case <-late:
				t.Fatalf("waited in vain for %s = %q", key, value)
			}
		}
	}
	await("before", "one")
	put(t, s, "before", "two", first)
	await("before", "two")
	second := put(t, s, "after", "three", 0)
	await("after", "three")
	wants(t, s.Delete(t.Context(), "after", second), nil)
	await("after", "")
	put(t, s, "after", "four", 0)
	await("after", "four")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("watch ended with %v", err)
	}
}

func watchEnds(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Watch(ctx, func(store.Entry) {}); err != nil {
		t.Errorf("watch ended with %v", err)
	}
}
