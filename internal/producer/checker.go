package producer

import (
	"context"
	"sync"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/template"
	"callfleet/internal/template/store"
)

// Checker refuses calls whose params break what their template declares, before
// they are published. It looks every template up once. A template that is not
// there, or cannot be read, is for others to report.
type Checker struct {
	templates Templates
	mu        sync.Mutex
	found     map[store.Key]*template.Template // guarded by mu; nil: nothing to check by
}

// NewChecker makes a Checker by what the templates of a store declare.
func NewChecker(t Templates) *Checker {
	return &Checker{templates: t, found: map[store.Key]*template.Template{}}
}

// Check fails with BadInput. A nil Checker lets all pass. What params refer to
// is not fetched for it: the worker checks that.
func (c *Checker) Check(ctx context.Context, r call.Request) error {
	if c == nil {
		return nil
	}
	if t := c.template(ctx, store.Key{Name: r.Template, Method: r.Method}); t != nil {
		if err := t.CheckParams(r.Params); err != nil {
			return &call.Failure{Name: BadInput, Cause: err.Error()}
		}
	}
	return nil
}

// maxLookUp bounds how long a store that is away delays the first call: the
// worker checks as well.
const maxLookUp = 5 * time.Second

func (c *Checker) template(ctx context.Context, k store.Key) *template.Template {
	c.mu.Lock()
	t, known := c.found[k]
	c.mu.Unlock()
	if known {
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, maxLookUp)
	defer cancel()
	item, err := c.templates.Get(ctx, k)
	if err == nil {
		t, _ = template.Parse(item.Attributes) // nil with an error
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) >= maxTemplates {
		clear(c.found)
	}
	c.found[k] = t
	return t
}
