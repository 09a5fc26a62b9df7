package secret

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"callfleet/internal/fresh"
)

// Options are the settings of a Resolver. A zero field is its default.
type Options struct {
	// Sources by kind. A kind without one cannot be resolved here.
	Sources map[string]Source
	// Allow are the patterns of what may be resolved; nil is DefaultAllow.
	Allow []string
	// TTL is how old a value may be; it is fetched anew from half of that on.
	// Default 5 min.
	TTL time.Duration
	// Timeout bounds one fetch. Default 5 s.
	Timeout time.Duration
}

// Resolver resolves references, and keeps the values for a while. Its methods
// are safe for concurrent use.
type Resolver struct {
	sources map[string]Source
	allow   Allow
	ttl     time.Duration
	values  *fresh.Cache[string, Value]
}

// NewResolver makes a Resolver; it fetches nothing.
func NewResolver(o Options) (*Resolver, error) {
	if o.Allow == nil {
		o.Allow = DefaultAllow()
	}
	allow, err := ParseAllow(o.Allow)
	if err != nil {
		return nil, fmt.Errorf("make resolver of secrets: %w", err)
	}
	if o.TTL < 0 || o.Timeout < 0 {
		return nil, errors.New("make resolver of secrets: option TTL or Timeout is negative")
	}
	return &Resolver{
		sources: o.Sources, allow: allow, ttl: cmp.Or(o.TTL, 5*time.Minute),
		values: fresh.New[string, Value](fresh.Options{Timeout: cmp.Or(o.Timeout, 5*time.Second)}),
	}, nil
}

// Error says why a reference has no value. It shows no secret.
type Error struct {
	Reference string
	Reason    string
	Permanent bool // trying again soon ends the same way
}

// Error is "reference: reason".
func (e *Error) Error() string { return e.Reference + ": " + e.Reason }

// Allow is what may be resolved.
func (r *Resolver) Allow() Allow { return r.allow }

// Get resolves a reference. The error is an *Error, or the cause of ctx.
func (r *Resolver) Get(ctx context.Context, reference string) (Value, error) {
	return r.values.Get(ctx, reference, func(ctx context.Context) (fresh.Item[Value], error) {
		text, err := r.fetch(ctx, reference)
		if err != nil {
			return fresh.Item[Value]{}, err
		}
		now := time.Now()
		return fresh.Item[Value]{Value: Of(text), Refresh: now.Add(r.ttl / 2), Expires: now.Add(r.ttl)}, nil
	})
}

func (r *Resolver) fetch(ctx context.Context, reference string) (string, error) {
	ref, err := Parse(reference)
	if err != nil {
		return "", &Error{reference, err.Error(), true}
	}
	if !r.allow.Reference(ref) {
		return "", &Error{reference, "templates may not use it: CALLFLEET_SECRETS_ALLOW of this worker does not list it", true}
	}
	source := r.sources[ref.Kind]
	if source == nil {
		return "", &Error{reference, missingSource(ref.Kind), true}
	}
	text, err := source.Fetch(ctx, ref.Name)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", &Error{reference, "its source did not answer in time", false}
	case err != nil:
		return "", &Error{reference, err.Error(), errors.Is(err, ErrMissing) || errors.Is(err, ErrDenied)}
	case ref.Key == "":
		return text, nil
	}
	return member(text, reference, ref.Key)
}

func missingSource(kind string) string {
	if kind == File {
		return "this worker has no directory of secrets: set CALLFLEET_SECRETS_DIR"
	}
	return "this program resolves no secrets of this kind"
}

// member takes one text, number or boolean out of a JSON object.
func member(text, reference, key string) (string, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		return "", &Error{reference, "the secret is no JSON object, and so has no member", true}
	}
	raw, ok := object[key]
	if !ok {
		return "", &Error{reference, "the secret has no such member", true}
	}
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil || s == "" {
			return "", &Error{reference, "the member is empty", true}
		}
		return s, nil
	}
	if raw[0] == '{' || raw[0] == '[' || string(raw) == "null" {
		return "", &Error{reference, "the member is no text", true}
	}
	return string(raw), nil
}

// Close waits for fetches under way.
func (r *Resolver) Close() { r.values.Close() }
