// Package claim is the claim check of large bodies: it puts what is too large
// for a message into the blob store and gives a reference, and it fetches what
// a reference stands for. References in params are data from outside: all that
// can be reached with one is a blob of the fleet's own store, by its digest.
package claim

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"callfleet/internal/blob"
	"callfleet/internal/call"
)

// Options are the settings of a Checker. A zero field is its default.
type Options struct {
	// MaxBlob is the largest blob that is opened or put. Default 100 MB.
	MaxBlob int64
	// MaxParams bounds the params of one call that come from references, in
	// bytes; they are in memory while the template is rendered. Default 8 MiB.
	MaxParams int64
	// None says why there is no store, and what to do, in a program that never
	// binds one. Default blob.ErrNone's own words.
	None string
}

// DefaultMaxBlob is the largest blob unless said otherwise.
const DefaultMaxBlob = 100_000_000

// Checker puts and fetches. Its methods are safe for concurrent use.
type Checker struct {
	opts  Options
	store atomic.Pointer[blob.Store] // nil until Bind
}

// New returns a checker without a store: it knows one once that is open.
func New(o Options) *Checker {
	o.MaxBlob, o.MaxParams = cmp.Or(o.MaxBlob, DefaultMaxBlob), cmp.Or(o.MaxParams, 8<<20)
	return &Checker{opts: o}
}

// none is blob.ErrNone in the words of the options.
type none string

func (n none) Error() string      { return string(n) }
func (none) Is(target error) bool { return target == blob.ErrNone }

func (c *Checker) errNone() error {
	return none(cmp.Or(c.opts.None, blob.ErrNone.Error()))
}

// Bind gives the checker its store; nil is none.
func (c *Checker) Bind(s blob.Store) {
	if s == nil {
		c.store.Store(nil)
		return
	}
	c.store.Store(&s)
}

// What a blob is of, the first segment of its key.
const (
	answers = "answers"
	params  = "params"
)

// Ready reports whether there is a store.
func (c *Checker) Ready() bool { return c.store.Load() != nil }

// Keep puts the body of an answer to the request id. It is blob.ErrNone without
// a store.
//
// Every body has a key of its own: a worker that was given up, and does not
// know it yet, must not overwrite what another one has reported. Whoever has
// only the id cannot find it. What nobody has reported expires.
func (c *Checker) Keep(ctx context.Context, id, contentType string, r io.Reader) (call.BlobRef, error) {
	return c.put(ctx, answers, id, contentType, r)
}

// PutParam puts a value of a param of the request id.
func (c *Checker) PutParam(ctx context.Context, id, contentType string, r io.Reader) (call.BlobRef, error) {
	return c.put(ctx, params, id, contentType, r)
}

func (c *Checker) put(ctx context.Context, of, id, contentType string, r io.Reader) (call.BlobRef, error) {
	store := c.store.Load()
	if store == nil {
		return call.BlobRef{}, c.errNone()
	}
	in := &limited{r: r, left: c.opts.MaxBlob}
	ref, err := (*store).Put(ctx, of+"/"+cmp.Or(id, "unnamed")+"/"+strings.ToLower(rand.Text()), oneLine(contentType), in)
	switch {
	case in.exceeded:
		return call.BlobRef{}, &call.Failure{Name: call.ResponseTooLarge, Cause: fmt.Sprintf("the body is larger than %d bytes", c.opts.MaxBlob)}
	case err != nil:
		return call.BlobRef{}, err
	}
	return call.BlobRef(ref), nil
}

// oneLine makes a content type fit for a header.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 200)]
}

// errTooLarge ends the reading of a blob that is above the limit.
var errTooLarge = errors.New("the body is too large")

type limited struct {
	r        io.Reader
	left     int64
	exceeded bool
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		l.exceeded = true
		return 0, errTooLarge
	}
	return n, err
}

// Open opens what ref stands for, with its digest verified while it is read:
// the last bytes come only when all are right. Errors, those of Read too, are
// *call.Failure, or the cause of ctx.
func (c *Checker) Open(ctx context.Context, ref call.BlobRef) (io.ReadCloser, error) {
	if err := c.allowed(ref); err != nil {
		return nil, err
	}
	store := c.store.Load()
	if store == nil {
		return nil, failure(ctx, c.errNone())
	}
	o, err := blob.Open(ctx, *store, blob.Ref(ref))
	if err != nil {
		return nil, failure(ctx, err)
	}
	return &opened{ctx, o}, nil
}

func (c *Checker) allowed(ref call.BlobRef) error {
	err := ref.Check()
	if err == nil && ref.Bytes > c.opts.MaxBlob {
		err = fmt.Errorf("the blob has %d bytes, at most %d are allowed", ref.Bytes, c.opts.MaxBlob)
	}
	if err != nil {
		return &call.Failure{Name: call.BadReference, Cause: err.Error()}
	}
	return nil
}

// opened gives the errors of reading their names.
type opened struct {
	ctx context.Context
	*blob.Object
}

// Read implements io.Reader.
func (o *opened) Read(p []byte) (int, error) {
	n, err := o.Object.Read(p)
	if err != nil && err != io.EOF {
		err = failure(o.ctx, err)
	}
	return n, err
}

// failure names what went wrong with a reference; it shows nothing of it.
func failure(ctx context.Context, err error) error {
	if errors.Is(err, blob.ErrNone) {
		return &call.Failure{Name: call.BadReference, Cause: err.Error()}
	}
	for _, bad := range []error{blob.ErrForeign, blob.ErrNotFound, blob.ErrDigest} {
		if errors.Is(err, bad) {
			return &call.Failure{Name: call.BadReference, Cause: bad.Error()}
		}
	}
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	return &call.Failure{Name: call.BlobUnavailable, Cause: err.Error()}
}
