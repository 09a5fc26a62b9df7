package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"callfleet/examples/quickstart"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/store"
)

// SampleAddress is where the sample templates say that the sample API is.
const SampleAddress = "127.0.0.1:8089"

// seed puts the sample templates, pointing at addr, into a store that is empty
// or holds them already. A template that somebody changed is left alone.
func seed(ctx context.Context, s store.Store, addr string) (put int, err error) {
	first, err := s.List(ctx, store.Key{}, 1)
	if err != nil {
		return 0, fmt.Errorf("seed templates: %w", err)
	}
	samples, err := sampleItems(addr)
	if err != nil {
		return 0, fmt.Errorf("seed templates: %w", err)
	}
	for _, sample := range samples {
		wrote, err := seeding{addr, len(first) == 0}.one(ctx, s, sample)
		if err != nil {
			return put, fmt.Errorf("seed template %s: %w", sample.Key, err)
		}
		if wrote {
			put++
		}
	}
	return put, nil
}

// seeding is what every sample of one seed has in common.
type seeding struct {
	addr  string // of the sample API
	empty bool   // the store was
}

func (to seeding) one(ctx context.Context, s store.Store, sample store.Item) (bool, error) {
	was, err := s.Get(ctx, sample.Key)
	condition := store.IfAbsent()
	switch {
	case errors.Is(err, store.ErrNotFound):
		if !to.empty {
			return false, nil
		}
	case err != nil:
		return false, err
	case bytes.Equal(was.Attributes, sample.Attributes) || !sameSample(was.Attributes, sample.Attributes, to.addr):
		return false, nil
	default:
		condition = store.IfRevision(was.Revision)
	}
	_, err = s.Put(ctx, sample, condition)
	if errors.Is(err, store.ErrConflict) {
		return false, nil // somebody else writes it: theirs
	}
	return err == nil, err
}

// sameSample tells whether two items differ only in where the sample API is: at
// some port of this machine, or at addr.
func sameSample(a, b json.RawMessage, addr string) bool {
	origin := regexp.MustCompile(`http://(127\.0\.0\.1:\d+|` + regexp.QuoteMeta(addr) + `)`)
	return bytes.Equal(origin.ReplaceAll(a, nil), origin.ReplaceAll(b, nil))
}

func sampleItems(addr string) ([]store.Item, error) {
	files := quickstart.Templates()
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, err
	}
	items := make([]store.Item, 0, len(names))
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		attributes, err := itemjson.FromPlain(bytes.ReplaceAll(text, []byte(SampleAddress), []byte(addr)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		key, err := keyOf(attributes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		items = append(items, store.Item{Key: key, Attributes: attributes})
	}
	return items, nil
}
