package template

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/sandbox"
)

// Options bound what templates may do. A zero field is its default.
type Options struct {
	MaxOutputBytes int           // of each rendered text; 8 MiB
	MaxSteps       int           // operations of one rendering; 2,000,000
	Timeout        time.Duration // of one rendering; 2 s
	MaxCached      int           // compiled templates; 1,024
	MaxCachedBytes int           // of their items in all; 64 MiB
	// References resolves the references among params; nil leaves them as they
	// are.
	References References
}

func (o *Options) setDefaults() {
	set := func(field *int, value int) {
		if *field <= 0 {
			*field = value
		}
	}
	set(&o.MaxOutputBytes, 8<<20)
	set(&o.MaxSteps, 2_000_000)
	set(&o.MaxCached, 1024)
	set(&o.MaxCachedBytes, 64<<20)
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
}

// Renderer renders templates, and keeps the compiled ones that were used last.
// It is safe for concurrent use.
type Renderer struct {
	options Options

	mu     sync.Mutex               // guards all below
	cached map[string]*list.Element // by the text of the item; values are *compiled
	recent *list.List               // the last one used in front
	bytes  int                      // of all items cached
}

// compiled is one item, parsed once however many ask for it at a time. A
// mistake is remembered as well.
type compiled struct {
	item     string
	once     sync.Once
	template *Template
	err      error
}

// NewRenderer makes a Renderer.
func NewRenderer(o Options) *Renderer {
	o.setDefaults()
	return &Renderer{options: o, cached: map[string]*list.Element{}, recent: list.New()}
}

// Render makes the request of an item and its params. The error is a
// *call.Failure with call.RenderFailed, or, when ctx ended first, its cause.
// It shows no value of a param.
func (r *Renderer) Render(ctx context.Context, item, params json.RawMessage) (call.Rendered, error) {
	t, err := r.compile(item)
	if err != nil {
		return call.Rendered{}, failure(err.Error())
	}
	return r.RenderTemplate(ctx, t, params)
}

// RenderTemplate is Render for a template that was parsed before.
func (r *Renderer) RenderTemplate(ctx context.Context, t *Template, params json.RawMessage) (call.Rendered, error) {
	out, err := r.render(ctx, t, params)
	if err == nil {
		return out, nil
	}
	var p *problemError
	if errors.As(err, &p) {
		return call.Rendered{}, failure(fmt.Sprintf("template %s %s: %s", t.Name, t.Method, p.problem))
	}
	return call.Rendered{}, err
}

func failure(cause string) *call.Failure {
	const maxCause = 1000 // it travels through executions and logs
	if len(cause) > maxCause {
		cause = cause[:maxCause] + " …"
	}
	return &call.Failure{Name: call.RenderFailed, Cause: "render " + oneLine(cause)}
}

// oneLine keeps a cause on one line, and Unicode.
func oneLine(s string) string {
	b := make([]rune, 0, len(s))
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		b = append(b, c)
	}
	return string(b)
}

// compile parses an item, or finds it in the cache.
func (r *Renderer) compile(raw json.RawMessage) (*Template, error) {
	if len(raw) > itemjson.MaxBytes {
		return Parse(raw)
	}
	c := r.lookUp(raw)
	c.once.Do(func() { c.template, c.err = Parse(json.RawMessage(c.item)) })
	return c.template, c.err
}

func (r *Renderer) lookUp(raw json.RawMessage) *compiled {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.cached[string(raw)]; ok {
		r.recent.MoveToFront(e)
		return e.Value.(*compiled)
	}
	c := &compiled{item: string(raw)}
	r.cached[c.item] = r.recent.PushFront(c)
	r.bytes += len(c.item)
	for r.recent.Len() > r.options.MaxCached || r.bytes > r.options.MaxCachedBytes && r.recent.Len() > 1 {
		old := r.recent.Remove(r.recent.Back()).(*compiled)
		delete(r.cached, old.item)
		r.bytes -= len(old.item)
	}
	return c
}

// problemError is what went wrong in one attribute.
type problemError struct{ problem Problem }

func (e *problemError) Error() string { return e.problem.String() }

func problem(attribute, message string) error {
	return &problemError{Problem{Attribute: attribute, Message: message}}
}

func (r *Renderer) limits() sandbox.Limits {
	return sandbox.Limits{MaxOutput: r.options.MaxOutputBytes, MaxSteps: r.options.MaxSteps, Timeout: r.options.Timeout}
}
