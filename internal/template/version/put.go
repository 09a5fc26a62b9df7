package version

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"callfleet/internal/template/store"
)

// state is a template and its versions, as they were read.
type state struct {
	current  *store.Item // nil: not there
	digest   [sha256.Size]byte
	versions []digested // ascending
}

type digested struct {
	Version
	digest [sha256.Size]byte
}

// state reads the template; items are its versions.
func (k *Keeper) state(ctx context.Context, key store.Key, items []store.Item) (*state, error) {
	st := &state{}
	for _, it := range items {
		v, err := read(it)
		if err != nil {
			return nil, err
		}
		st.versions = append(st.versions, digested{v, digest(v.Content)})
	}
	it, err := k.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return st, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := contentOf(it, key)
	if err != nil {
		return nil, err
	}
	it.Attributes = content
	st.current, st.digest = &it, digest(content)
	return st, nil
}

// currentIndex is the latest version with the current content, -1 for none.
func (st *state) currentIndex() int {
	if st.current != nil {
		for i, v := range slices.Backward(st.versions) {
			if v.digest == st.digest {
				return i
			}
		}
	}
	return -1
}

// number is the number of the current version; 0 for none.
func (st *state) number() int {
	if i := st.currentIndex(); i >= 0 {
		return st.versions[i].Number
	}
	return 0
}

// next is the number after the highest.
func (st *state) next() int {
	if n := len(st.versions); n > 0 {
		return st.versions[n-1].Number + 1
	}
	return 1
}

// rounds bounds how often a change starts anew because others change the same
// template. Each round, somebody gets on.
const rounds = 64

// put is one call of Put under way.
type put struct {
	*Keeper
	item   store.Item
	digest [sha256.Size]byte
	change Change
	result Result
	mine   int // the version that this call wrote, or found written; 0 is none yet
}

// Put makes the item the current template, as a new version unless it is what
// the template holds already.
func (k *Keeper) Put(ctx context.Context, it store.Item, c Change) (Result, error) {
	if template, version := it.Cut(); version > 0 {
		return Result{}, fmt.Errorf("put template %q: %w: a version is never changed: put %q, which makes another", it.Key, store.ErrInvalid, template)
	}
	if len(c.Message) > MaxMessage {
		return Result{}, fmt.Errorf("put template %q: %w: the message has %d bytes, at most %d are kept", it.Key, store.ErrInvalid, len(c.Message), MaxMessage)
	}
	if err := store.Check(it); err != nil {
		return Result{}, fmt.Errorf("put template: %w", err)
	}
	content, err := contentOf(it, it.Key)
	if err != nil {
		return Result{}, err
	}
	p := &put{Keeper: k, item: store.Item{Key: it.Key, Attributes: content}, digest: digest(content), change: c}
	for range rounds {
		done, err := p.round(ctx)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil && p.mine > 0 {
			err = fmt.Errorf("version %d is stored, but it is not current: %w", p.mine, err)
		}
		if err != nil || done {
			return p.result, err
		}
	}
	return p.result, fmt.Errorf("put template %q: %w: too many change it at once, try again", it.Key, store.ErrConflict)
}

// round reads the template and takes the next step. It is done when the content
// is current, or was. ErrConflict asks for another round.
func (p *put) round(ctx context.Context) (done bool, err error) {
	st, err := p.load(ctx)
	if err != nil {
		return false, err
	}
	if p.mine == 0 {
		if st.current != nil && st.digest == p.digest {
			p.result.Version = st.number()
			return true, nil
		}
		if err := p.write(ctx, st); err != nil {
			return false, err
		}
	} else if st.current != nil && st.number() >= p.mine {
		if n := st.number(); n > p.mine {
			p.result.Later = n
		}
		return true, p.prune(ctx, st)
	}
	condition := store.IfAbsent()
	if st.current != nil {
		condition = store.IfRevision(st.current.Revision)
	}
	if _, err := p.store.Put(ctx, p.item, condition); err != nil {
		return false, err
	}
	st.current, st.digest = &p.item, p.digest
	return true, p.prune(ctx, st)
}

// load reads the template. What is there and is no version is made one.
func (p *put) load(ctx context.Context) (*state, error) {
	st, found, err := p.loadRecorded(ctx, p.item.Key)
	if found > 0 {
		p.result.Found = found
	}
	return st, err
}

func (k *Keeper) loadRecorded(ctx context.Context, key store.Key) (st *state, found int, err error) {
	items, err := k.store.Versions(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	if st, err = k.state(ctx, key, items); err != nil || st.current == nil || st.number() > 0 {
		return st, 0, err
	}
	v := Version{Key: key, Number: st.next(), At: k.o.Now(), Found: true, Content: st.current.Attributes}
	err = k.add(ctx, st, v)
	if errors.Is(err, store.ErrInvalid) {
		err = fmt.Errorf("template %q was changed by other means, and cannot be replaced or removed without being kept: "+
			"change it there such that it can be, or save it (\"producer template get\") and remove it with all its versions (\"producer template rm --purge\"): %w", key, err)
	}
	if err != nil {
		return nil, 0, err
	}
	return st, v.Number, nil
}

// write makes the version of a put. One that is there already, the latest, with
// the same content and not yet current, is by somebody who puts the same, or was
// killed at it.
func (p *put) write(ctx context.Context, st *state) error {
	if n := len(st.versions); n > 0 && st.current != nil && p.change.From == 0 && st.versions[n-1].digest == p.digest {
		p.mine = st.versions[n-1].Number
		p.result.Version = p.mine
		return nil
	}
	v := Version{
		Key: p.item.Key, Number: st.next(), At: p.o.Now(), By: p.o.By, Message: p.change.Message, From: p.change.From, Content: p.item.Attributes,
	}
	if err := p.add(ctx, st, v); err != nil {
		return err
	}
	p.mine, p.result.Version, p.result.Made = v.Number, v.Number, true
	return nil
}

// add stores a version. ErrConflict says that its number is taken.
func (k *Keeper) add(ctx context.Context, st *state, v Version) error {
	if v.Number > store.MaxVersion {
		return fmt.Errorf("put template %q: it has had %d versions, no more can be numbered", v.Key, store.MaxVersion)
	}
	it, err := v.item()
	if err != nil {
		return err
	}
	if _, err := k.store.Put(ctx, it, store.IfAbsent()); err != nil {
		return fmt.Errorf("keep template %q as version %d: %w", v.Key, v.Number, err)
	}
	st.versions = append(st.versions, digested{v, digest(v.Content)})
	return nil
}

// recent versions are not pruned: a put that is under way may be about to make
// one current, and calls that pin one may be under way.
const recent = time.Hour

// prune removes the oldest versions beyond those to keep. The template is
// changed whether or not that works.
func (p *put) prune(ctx context.Context, st *state) error {
	if p.o.Keep <= 0 {
		return nil
	}
	young := p.o.Now().Add(-recent)
	for _, v := range st.versions[:max(0, len(st.versions)-p.o.Keep)] {
		if v.Number == p.mine || v.Number == st.number() || v.At.After(young) {
			continue
		}
		if err := p.store.Delete(ctx, v.Key.At(v.Number), store.Always()); err != nil {
			return fmt.Errorf("put template %q: version %d is current, but an old one could not be removed: %w", p.item.Key, p.mine, err)
		}
		p.result.Pruned = append(p.result.Pruned, v.Number)
	}
	return nil
}

// Rollback makes the content of a version current again, as a new version.
func (k *Keeper) Rollback(ctx context.Context, key store.Key, number int, message string) (Result, error) {
	it, err := k.Get(ctx, key, number)
	if err != nil {
		return Result{}, err
	}
	return k.Put(ctx, it, Change{Message: message, From: number})
}

// Remove removes a template and keeps its versions: Rollback brings it back. It
// returns the version that it had.
func (k *Keeper) Remove(ctx context.Context, key store.Key) (number int, err error) {
	if err := notVersion(key); err != nil {
		return 0, fmt.Errorf("remove template %q: %w", key, err)
	}
	for range rounds {
		st, _, err := k.loadRecorded(ctx, key)
		switch {
		case errors.Is(err, store.ErrConflict):
			continue
		case err != nil:
			return 0, err
		case st.current == nil:
			return 0, fmt.Errorf("remove template %q: %w", key, store.ErrNotFound)
		}
		err = k.store.Delete(ctx, key, store.IfRevision(st.current.Revision))
		if !errors.Is(err, store.ErrConflict) {
			return st.number(), err
		}
	}
	return 0, fmt.Errorf("remove template %q: %w: too many change it at once, try again", key, store.ErrConflict)
}

// notVersion refuses to remove a version alone: calls may pin it, and the history
// would have a gap.
func notVersion(key store.Key) error {
	if template, n := key.Cut(); n > 0 {
		return fmt.Errorf("%w: that is version %d of %q: it stays until it is the oldest of too many, or all are purged", store.ErrInvalid, n, template)
	}
	return nil
}

// Purge removes a template and all its versions, for good. Numbers begin at 1
// again. It returns how many versions there were.
func (k *Keeper) Purge(ctx context.Context, key store.Key) (versions int, err error) {
	if err := notVersion(key); err != nil {
		return 0, fmt.Errorf("purge template %q: %w", key, err)
	}
	_, err = k.store.Get(ctx, key)
	there := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	items, err := k.store.Versions(ctx, key)
	if err != nil {
		return 0, err
	}
	if !there && len(items) == 0 {
		return 0, fmt.Errorf("purge template %q: %w", key, store.ErrNotFound)
	}
	if err := k.store.Delete(ctx, key, store.Always()); err != nil {
		return 0, err
	}
	for _, it := range items { // the highest number last: none is given again while there are others
		if err := k.store.Delete(ctx, it.Key, store.Always()); err != nil {
			return versions, err
		}
		versions++
	}
	return versions, nil
}
