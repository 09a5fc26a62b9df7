package producer

import (
	"context"
	"errors"
	"sync"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/template"
	"callfleet/internal/template/store"
)

// Checker refuses calls whose params break what their template declares, before
// they are published, and calls that pin a version which is not there: only here
// is known which ones are. It looks every template up once. A template that is
// not there, or cannot be read, is for others to report.
type Checker struct {
	templates Templates
	mu        sync.Mutex
	found     map[store.Key]checked // guarded by mu
}

// checked is what is known of a template.
type checked struct {
	template *template.Template // nil: nothing to check by
	err      error              // of a version that is not there
}

// NewChecker makes a Checker by what the templates of a store declare.
func NewChecker(t Templates) *Checker {
	return &Checker{templates: t, found: map[store.Key]checked{}}
}

// Check fails with BadInput, or with TemplateNotFound for a version. A nil
// Checker lets all pass. What params refer to is not fetched for it: the worker
// checks that.
func (c *Checker) Check(ctx context.Context, r call.Request) error {
	if c == nil {
		return nil
	}
	t, err := c.template(ctx, keyOf(r))
	if err != nil {
		return err
	}
	if t != nil {
		if err := t.CheckParams(r.Params); err != nil {
			return &call.Failure{Name: BadInput, Cause: err.Error()}
		}
	}
	return nil
}

// maxLookUp bounds how long a store that is away delays the first call: the
// worker checks as well.
const maxLookUp = 5 * time.Second

func (c *Checker) template(ctx context.Context, k store.Key) (*template.Template, error) {
	c.mu.Lock()
	t, known := c.found[k]
	c.mu.Unlock()
	if known {
		return t.template, t.err
	}
	ctx, cancel := context.WithTimeout(ctx, maxLookUp)
	defer cancel()
	item, err := c.templates.Get(ctx, k)
	if err == nil {
		t.template, _ = template.Parse(item.Attributes) // nil with an error
	}
	if _, pinned := k.Cut(); pinned > 0 && errors.Is(err, store.ErrNotFound) {
		missing := notFound(ctx, c.templates, k)
		if _, ok := errors.AsType[*call.Failure](missing); ok { // else the store is away
			t.err = missing
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) >= maxTemplates {
		clear(c.found)
	}
	c.found[k] = t
	return t.template, t.err
}
