package producer

import (
	"context"
	"sync"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/queue"
	"callfleet/internal/template"
	"callfleet/internal/template/store"
)

// Checked refuses calls whose params break what their template declares, before
// they are published. It looks every template up once. A template that is not
// there, or cannot be read, is for others to report.
type Checked struct {
	Encoder
	templates Templates
	mu        sync.Mutex
	found     map[store.Key]*template.Template // guarded by mu; nil: nothing to check by
}

// NewChecked puts the check before an Encoder.
func NewChecked(e Encoder, t Templates) *Checked {
	return &Checked{Encoder: e, templates: t, found: map[store.Key]*template.Template{}}
}

// Encode fails with BadInput, or as the Encoder does.
func (c *Checked) Encode(ctx context.Context, r call.Request) (queue.Message, error) {
	if t := c.template(ctx, store.Key{Name: r.Template, Method: r.Method}); t != nil {
		if err := t.CheckParams(r.Params); err != nil {
			return queue.Message{}, &call.Failure{Name: BadInput, Cause: err.Error()}
		}
	}
	return c.Encoder.Encode(ctx, r)
}

// maxLookUp bounds how long a store that is away delays the first call: the
// worker checks as well.
const maxLookUp = 5 * time.Second

func (c *Checked) template(ctx context.Context, k store.Key) *template.Template {
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
