package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"callfleet/internal/template/store"
	"callfleet/internal/template/version"
)

// keys are those of items.
func keys(items []store.Item) []store.Key {
	var list []store.Key
	for _, it := range items {
		list = append(list, it.Key)
	}
	return list
}

func putVersions(ctx context.Context, s store.Store, list []store.Key) error {
	for _, k := range list {
		if _, err := s.Put(ctx, item(k.Name, k.Method, k.String()), store.IfAbsent()); err != nil {
			return fmt.Errorf("put %q: %w", k, err)
		}
	}
	return nil
}

func versionsApart(ctx context.Context, s store.Store) error {
	get := store.Key{Name: "a", Method: "GET"}
	rev, err := s.Put(ctx, item("a", "GET", "current"), store.IfAbsent())
	if err != nil {
		return err
	}
	if err := putVersions(ctx, s, []store.Key{get.At(1), get.At(2)}); err != nil {
		return err
	}
	items, err := s.List(ctx, store.Key{}, 10)
	if err != nil || !reflect.DeepEqual(keys(items), []store.Key{get}) {
		return fmt.Errorf("list is %v, %v; want the template alone", keys(items), err)
	}
	if items, err = s.List(ctx, get, 10); err != nil || len(items) != 0 {
		return fmt.Errorf("list after the template is %v, %v", keys(items), err)
	}
	if err := want(ctx, s, item("a", "GET", "current"), rev); err != nil {
		return err
	}
	_, err = s.Put(ctx, item("a", "GET@2", "other"), store.IfAbsent())
	if err := is("put over a version", err, store.ErrConflict); err != nil {
		return err
	}
	if err := s.Delete(ctx, get.At(1), store.Always()); err != nil {
		return err
	}
	_, err = s.Get(ctx, get.At(1))
	if err := is("get a version that was deleted", err, store.ErrNotFound); err != nil {
		return err
	}
	if items, err = s.Versions(ctx, get); err != nil || !reflect.DeepEqual(keys(items), []store.Key{get.At(2)}) {
		return fmt.Errorf("versions after one was deleted are %v, %v", keys(items), err)
	}
	return want(ctx, s, item("a", "GET@2", "a GET@2"), items[0].Revision)
}

func versionsInOrder(ctx context.Context, s store.Store) error {
	get, post := store.Key{Name: "a", Method: "GET"}, store.Key{Name: "a", Method: "POST"}
	if items, err := s.Versions(ctx, get); err != nil || len(items) != 0 {
		return fmt.Errorf("versions of nothing: %v, %v", keys(items), err)
	}
	if err := putVersions(ctx, s, []store.Key{get.At(10), get.At(9), post.At(2), get.At(100), post.At(1), get.At(1)}); err != nil {
		return err
	}
	for k, want := range map[store.Key][]store.Key{
		get:         {get.At(1), get.At(9), get.At(10), get.At(100)},
		post:        {post.At(1), post.At(2)},
		{Name: "a"}: {get.At(1), get.At(9), get.At(10), get.At(100), post.At(1), post.At(2)},
	} {
		items, err := s.Versions(ctx, k)
		if err != nil || !reflect.DeepEqual(keys(items), want) {
			return fmt.Errorf("versions of %q are %q, %v; want %q", k, keys(items), err, want)
		}
		for _, it := range items {
			if err := sameJSON(it.Attributes, item(it.Name, it.Method, it.Key.String()).Attributes); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Versions(ctx, get); err == nil {
		return errors.New("versions with a context that has ended: got no error")
	}
	return nil
}

func hostileVersions(ctx context.Context, s store.Store) error {
	names := hostileNames()
	for _, name := range names {
		k := store.Key{Name: name, Method: "GET"}
		if err := putVersions(ctx, s, []store.Key{k.At(1), k.At(12)}); err != nil {
			return err
		}
	}
	for _, name := range names {
		k := store.Key{Name: name, Method: "GET"}
		for _, asked := range []store.Key{k, {Name: name}} {
			items, err := s.Versions(ctx, asked)
			if err != nil || !reflect.DeepEqual(keys(items), []store.Key{k.At(1), k.At(12)}) {
				return fmt.Errorf("versions of %q are %q, %v", asked, keys(items), err)
			}
		}
	}
	return nil
}

// numbers are the numbers of a history, and the current one.
func numbers(history []version.Version) (list []int, current int) {
	for _, v := range history {
		list = append(list, v.Number)
		if v.Current {
			current = v.Number
		}
	}
	return list, current
}

// wantHistory compares the numbers of a template's versions, the latest first,
// and the current one, 0 for none.
func wantHistory(ctx context.Context, k *version.Keeper, key store.Key, current int, list ...int) error {
	history, err := k.History(ctx, key)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	gotList, got := numbers(history)
	if got != current || !slices.Equal(gotList, list) {
		return fmt.Errorf("history of %q is %v, current %d; want %v, %d", key, gotList, got, list, current)
	}
	return nil
}

// putURLs puts a template with one URL after the other.
func putURLs(ctx context.Context, k *version.Keeper, urls ...string) error {
	for _, u := range urls {
		if _, err := k.Put(ctx, item("a", "GET", u), version.Change{Message: "to " + u}); err != nil {
			return fmt.Errorf("put %s: %w", u, err)
		}
	}
	return nil
}

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func keeper(s store.Store) *version.Keeper {
	return version.New(s, version.Options{By: "me", Now: func() time.Time { return start }})
}

func changeMakesVersion(ctx context.Context, s store.Store) error {
	k, key := keeper(s), store.Key{Name: "a", Method: "GET"}
	for i, step := range []struct {
		url    string
		number int
		made   bool
	}{{"one", 1, true}, {"two", 2, true}, {"two", 2, false}, {"three", 3, true}} {
		got, err := k.Put(ctx, item("a", "GET", step.url), version.Change{Message: step.url})
		if want := (version.Result{Version: step.number, Made: step.made}); err != nil || !reflect.DeepEqual(got, want) {
			return fmt.Errorf("step %d: got %+v, %v; want %+v", i, got, err, want)
		}
		current, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		if err := sameJSON(current.Attributes, item("a", "GET", step.url).Attributes); err != nil {
			return fmt.Errorf("the template after step %d: %w", i, err)
		}
	}
	if err := wantHistory(ctx, k, key, 3, 3, 2, 1); err != nil {
		return err
	}
	history, err := k.History(ctx, key)
	if err != nil {
		return err
	}
	if v := history[1]; v.By != "me" || v.Message != "two" || !v.At.Equal(start) || v.Found || v.From != 0 || v.Bytes == 0 {
		return fmt.Errorf("version 2 is %+v", v)
	}
	for n, u := range map[int]string{1: "one", 2: "two", 3: "three"} {
		it, err := k.Get(ctx, key, n)
		if err != nil {
			return err
		}
		if err := sameJSON(it.Attributes, item("a", "GET", u).Attributes); err != nil {
			return fmt.Errorf("version %d: %w", n, err)
		}
	}
	_, err = k.Get(ctx, key, 9)
	if unknown, ok := errors.AsType[*version.UnknownError](err); !ok || !slices.Equal(unknown.Known, []int{1, 2, 3}) || !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("get a version that is not there: %v", err)
	}
	return nil
}

func foundBecomesVersion(ctx context.Context, s store.Store) error {
	k, key := keeper(s), store.Key{Name: "a", Method: "GET"}
	if _, err := s.Put(ctx, item("a", "GET", "old"), store.Always()); err != nil {
		return err
	}
	if err := wantHistory(ctx, k, key, 0); err != nil {
		return err
	}
	got, err := k.Put(ctx, item("a", "GET", "old"), version.Change{})
	if want := (version.Result{Version: 1, Found: 1}); err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("put what is there: %+v, %v; want %+v", got, err, want)
	}
	if err := wantHistory(ctx, k, key, 1, 1); err != nil {
		return err
	}
	// Somebody edits it by other means.
	if _, err := s.Put(ctx, item("a", "GET", "edited"), store.Always()); err != nil {
		return err
	}
	if err := wantHistory(ctx, k, key, 0, 1); err != nil {
		return err
	}
	got, err = k.Put(ctx, item("a", "GET", "new"), version.Change{})
	if want := (version.Result{Version: 3, Made: true, Found: 2}); err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("put over what was edited: %+v, %v; want %+v", got, err, want)
	}
	it, err := k.Get(ctx, key, 2)
	if err != nil {
		return err
	}
	if err := sameJSON(it.Attributes, item("a", "GET", "edited").Attributes); err != nil {
		return fmt.Errorf("what was edited: %w", err)
	}
	return wantHistory(ctx, k, key, 3, 3, 2, 1)
}

// many runs f that often at one time and joins the errors.
func many(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// inStep is a store whose first look at versions waits for that of all others
// that share the barrier: whoever numbers by it comes to the same number.
type inStep struct {
	store.Store
	once    sync.Once
	barrier *sync.WaitGroup
}

func (s *inStep) Versions(ctx context.Context, k store.Key) ([]store.Item, error) {
	items, err := s.Store.Versions(ctx, k)
	s.once.Do(func() {
		s.barrier.Done()
		s.barrier.Wait()
	})
	return items, err
}

func allWritersGetVersions(ctx context.Context, s store.Store) error {
	const writers = 6
	key := store.Key{Name: "a", Method: "GET"}
	if _, err := s.Put(ctx, item("a", "GET", "old"), store.Always()); err != nil {
		return err
	}
	var got [writers]version.Result
	var barrier sync.WaitGroup
	barrier.Add(writers)
	err := many(writers, func(i int) (err error) {
		got[i], err = keeper(&inStep{Store: s, barrier: &barrier}).Put(ctx, item("a", "GET", fmt.Sprint("writer ", i)), version.Change{})
		return err
	})
	if err != nil {
		return err
	}
	k := keeper(s)
	if err := wantHistory(ctx, k, key, writers+1, 7, 6, 5, 4, 3, 2, 1); err != nil {
		return err
	}
	for i, r := range got {
		it, err := k.Get(ctx, key, r.Version)
		if err != nil {
			return err
		}
		if err := sameJSON(it.Attributes, item("a", "GET", fmt.Sprint("writer ", i)).Attributes); err != nil || !r.Made {
			return fmt.Errorf("writer %d was told %+v: %w", i, r, err)
		}
	}
	return nil
}

// Every content that was put is a version in the end, also when the template is
// removed meanwhile.
func removersLoseNothing(ctx context.Context, s store.Store) error {
	const writers = 4
	key := store.Key{Name: "a", Method: "GET"}
	err := many(2*writers, func(i int) error {
		if i%2 == 0 {
			_, err := keeper(s).Put(ctx, item("a", "GET", fmt.Sprint("writer ", i)), version.Change{})
			return err
		}
		if _, err := keeper(s).Remove(ctx, key); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	history, err := keeper(s).History(ctx, key)
	if err != nil || len(history) != writers {
		return fmt.Errorf("%d versions, %v; want %d", len(history), err, writers)
	}
	return nil
}

func rollbackMakesVersion(ctx context.Context, s store.Store) error {
	k, key := keeper(s), store.Key{Name: "a", Method: "GET"}
	if err := putURLs(ctx, k, "one", "two"); err != nil {
		return err
	}
	got, err := k.Rollback(ctx, key, 1, "two was bad")
	if want := (version.Result{Version: 3, Made: true}); err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("rollback: %+v, %v; want %+v", got, err, want)
	}
	current, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	if err := sameJSON(current.Attributes, item("a", "GET", "one").Attributes); err != nil {
		return err
	}
	if err := wantHistory(ctx, k, key, 3, 3, 2, 1); err != nil {
		return err
	}
	history, err := k.History(ctx, key)
	if err != nil || history[0].From != 1 || history[0].Message != "two was bad" {
		return fmt.Errorf("the version is %+v, %v", history, err)
	}
	if got, err = k.Rollback(ctx, key, 1, ""); err != nil || got.Made || got.Version != 3 {
		return fmt.Errorf("rollback to what is current: %+v, %v", got, err)
	}
	_, err = k.Rollback(ctx, key, 7, "")
	return is("rollback to a version that is not there", err, store.ErrNotFound)
}

func removeAndPurge(ctx context.Context, s store.Store) error {
	k, key := keeper(s), store.Key{Name: "a", Method: "GET"}
	_, err := k.Remove(ctx, key)
	if err := is("remove nothing", err, store.ErrNotFound); err != nil {
		return err
	}
	if err := putURLs(ctx, k, "one", "two"); err != nil {
		return err
	}
	if _, err := s.Put(ctx, item("a", "GET", "edited"), store.Always()); err != nil {
		return err
	}
	if n, err := k.Remove(ctx, key); n != 3 || err != nil {
		return fmt.Errorf("remove: version %d, %v; want 3", n, err)
	}
	_, err = s.Get(ctx, key)
	if err := is("get what was removed", err, store.ErrNotFound); err != nil {
		return err
	}
	if err := wantHistory(ctx, k, key, 0, 3, 2, 1); err != nil {
		return err
	}
	if got, err := k.Rollback(ctx, key, 3, ""); err != nil || got.Version != 4 || !got.Made {
		return fmt.Errorf("bring back: %+v, %v", got, err)
	}
	if err := putURLs(ctx, k, "five"); err != nil {
		return err
	}
	other := store.Key{Name: "a", Method: "POST"}
	if err := putVersions(ctx, s, []store.Key{other.At(1)}); err != nil {
		return err
	}
	if n, err := k.Purge(ctx, key); n != 5 || err != nil {
		return fmt.Errorf("purge: %d versions, %v", n, err)
	}
	_, err = k.Purge(ctx, key)
	if err := is("purge nothing", err, store.ErrNotFound); err != nil {
		return err
	}
	return wantHistory(ctx, k, store.Key{Name: "a"}, 0, 1)
}

func oldVersionsPruned(ctx context.Context, s store.Store) error {
	now, key := start, store.Key{Name: "a", Method: "GET"}
	k := version.New(s, version.Options{Keep: 3, Now: func() time.Time { return now }})
	if err := putURLs(ctx, k, "1", "2", "3", "4", "5"); err != nil {
		return err
	}
	if err := wantHistory(ctx, k, key, 5, 5, 4, 3, 2, 1); err != nil {
		return fmt.Errorf("within the hour: %w", err)
	}
	now = now.Add(2 * time.Hour)
	got, err := k.Put(ctx, item("a", "GET", "6"), version.Change{})
	if err != nil || !slices.Equal(got.Pruned, []int{1, 2, 3}) {
		return fmt.Errorf("after the hour: %+v, %v", got, err)
	}
	now = now.Add(2 * time.Hour)
	if got, err = k.Rollback(ctx, key, 4, ""); err != nil || got.Version != 7 || !slices.Equal(got.Pruned, []int{4}) {
		return fmt.Errorf("rollback: %+v, %v", got, err)
	}
	return wantHistory(ctx, k, key, 7, 7, 6, 5)
}
