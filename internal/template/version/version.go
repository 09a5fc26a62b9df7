// Package version keeps every version of an API template beside the template
// itself: numbered from 1, never overwritten, each with who made it, when, and
// why. It needs nothing of a store but conditional writes of single items.
//
// # The items
//
// The current template is the item that it always was, PK its name and SK its
// method: whoever reads only that knows nothing of versions. Version 3 is an
// item of its own with the sort key GET@3, the same attributes, and one more,
// callfleetVersion. It is written once. Which version is the current one is not
// written down: it is the latest that has the current template's content. So
// what somebody changes by other means (the DynamoDB console, an editor) is
// noticed, and is made a version before it is replaced or removed.
//
// # Writers at one time
//
// A put first writes the version, under the next number that is free, and then
// makes it current if no later one is. Of two puts at one time both become
// versions, and the one with the higher number is current, as if one had come
// after the other. A put that is killed in between leaves a version that was
// never current.
package version

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"callfleet/internal/template/store"
)

// Options are the settings of a Keeper.
type Options struct {
	// Keep is how many versions of a template are kept, the latest ones; 0 is
	// all. The current one and those of the last hour are kept in any case.
	Keep int
	By   string           // who makes versions, for the history
	Now  func() time.Time // time.Now when nil
}

// Keeper changes templates and keeps their versions. It is safe for concurrent
// use, and so are several on one store.
type Keeper struct {
	store store.Store
	o     Options
}

// New makes a Keeper of the templates of a store.
func New(s store.Store, o Options) *Keeper {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Keeper{store: s, o: o}
}

// MaxMessage bounds a version's message, in bytes.
const MaxMessage = 1000

// Change says why a version is made.
type Change struct {
	Message string
	From    int // the version that is restored; 0 is none
}

// Result is what became of a change.
type Result struct {
	// Version is the number of the content that was asked for.
	Version int
	// Made is false when the template had that content already.
	Made bool
	// Found is the version that was made first, of a template that had been
	// changed without a Keeper; 0 is none.
	Found int
	// Later is the version that somebody else has made current meanwhile; 0 is
	// none.
	Later int
	// Pruned are the versions that were removed because there were too many.
	Pruned []int
}

// UnknownError says that a template has no such version. It is a
// store.ErrNotFound.
type UnknownError struct {
	Template store.Key
	Version  int
	Known    []int // ascending
}

// Error names the versions that there are.
func (e *UnknownError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("template %s has no version %d: it has no versions yet, the next \"producer template put\" makes one", e.Template, e.Version)
	}
	return fmt.Sprintf("template %s has no version %d, only %s; \"producer template history\" tells what they are", e.Template, e.Version, ranges(e.Known))
}

// Unwrap is store.ErrNotFound.
func (e *UnknownError) Unwrap() error { return store.ErrNotFound }

// ranges writes 1, 3 to 5.
func ranges(numbers []int) string {
	var text []byte
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		if i > 0 {
			text = append(text, ", "...)
		}
		text = fmt.Append(text, numbers[i])
		if last > i {
			text = fmt.Appendf(text, " to %d", numbers[last])
		}
		i = last + 1
	}
	return string(text)
}

// Get returns a version as the template that it was, under the template's own
// key. The error is an *UnknownError when there is no such version.
func (k *Keeper) Get(ctx context.Context, key store.Key, number int) (store.Item, error) {
	it, err := k.store.Get(ctx, key.At(number))
	if errors.Is(err, store.ErrNotFound) {
		return store.Item{}, Unknown(ctx, k.store, key, number)
	}
	if err != nil {
		return store.Item{}, err
	}
	content, err := contentOf(it, key)
	if err != nil {
		return store.Item{}, err
	}
	return store.Item{Key: key, Attributes: content, Revision: it.Revision}, nil
}

// Lister is the part of a store that knows versions.
type Lister interface {
	Versions(ctx context.Context, k store.Key) ([]store.Item, error)
}

// Unknown is the *UnknownError of a version that was not found, or what kept
// from finding out which there are.
func Unknown(ctx context.Context, s Lister, key store.Key, number int) error {
	items, err := s.Versions(ctx, key)
	if err != nil {
		return fmt.Errorf("template %s has no version %d: %w", key, number, err)
	}
	unknown := &UnknownError{Template: key, Version: number}
	for _, it := range items {
		_, n := it.Cut()
		unknown.Known = append(unknown.Known, n)
	}
	return unknown
}

// Version is one entry of a history.
type Version struct {
	store.Key // of the template
	Number    int
	At        time.Time
	By        string
	Message   string
	From      int  // the version that was restored; 0 is none
	Found     bool // it was in the store, changed by other means
	Current   bool
	Bytes     int             // of the content
	Content   json.RawMessage // the template's item, as it was
}

// History returns the versions of a template, the latest first; of all methods
// of that name, in order of the methods, when the key has none. A template that
// is not there, or was never changed by a Keeper, has none, or only older ones.
func (k *Keeper) History(ctx context.Context, key store.Key) ([]Version, error) {
	items, err := k.store.Versions(ctx, key)
	if err != nil {
		return nil, err
	}
	var all []Version
	for len(items) > 0 {
		of, _ := items[0].Cut()
		n := 1
		for n < len(items) && items[n].Of(of) {
			n++
		}
		st, err := k.state(ctx, of, items[:n])
		if err != nil {
			return nil, err
		}
		if i := st.currentIndex(); i >= 0 {
			st.versions[i].Current = true
		}
		slices.Reverse(st.versions)
		for _, v := range st.versions {
			all = append(all, v.Version)
		}
		items = items[n:]
	}
	return all, nil
}
