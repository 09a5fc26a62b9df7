// Package target has the URLs of dependencies.
package target

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
)

// Target is the URL of a dependency; its scheme picks the backend. Printed and
// logged it hides a password.
type Target struct {
	text string
	urls []*url.URL // at least one, unless the Target is zero
}

// IsZero reports whether the dependency was not set.
func (t Target) IsZero() bool { return len(t.urls) == 0 }

// Scheme is the URL's scheme, "" when the dependency was not set.
func (t Target) Scheme() string {
	if t.IsZero() {
		return ""
	}
	return t.urls[0].Scheme
}

// Or is the Target, or that of a URL when it is zero.
func (t Target) Or(fallback string) Target {
	if !t.IsZero() {
		return t
	}
	u, err := url.Parse(fallback)
	if err != nil {
		panic("config: default URL " + fallback + ": " + err.Error())
	}
	return Target{text: fallback, urls: []*url.URL{u}}
}

// URL is the first URL, a copy, or nil when the dependency was not set.
func (t Target) URL() *url.URL {
	if t.IsZero() {
		return nil
	}
	u := *t.urls[0]
	return &u
}

// Path is what follows "scheme://", such as a directory or a table.
func (t Target) Path() string {
	_, path, _ := strings.Cut(t.text, "://")
	return path
}

// Secret is the text as it was given, passwords included, for the client that
// connects.
func (t Target) Secret() string { return t.text }

// String hides passwords.
func (t Target) String() string {
	texts := make([]string, len(t.urls))
	for i, u := range t.urls {
		texts[i] = u.Redacted()
	}
	return strings.Join(texts, ",")
}

// GoString hides passwords from %#v.
func (t Target) GoString() string { return t.String() }

// LogValue hides passwords from slog.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Every reports whether f holds for each of the URLs.
func (t Target) Every(f func(*url.URL) bool) bool {
	return !slices.ContainsFunc(t.urls, func(u *url.URL) bool { return !f(u) })
}

// Parse takes one URL, or several of one scheme separated by commas. Its
// errors do not show the text: it may hold a password.
func Parse(text string) (Target, error) {
	if text == "" {
		return Target{}, nil
	}
	t := Target{text: text}
	for part := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Scheme == "" {
			return Target{}, errors.New("want a URL, scheme first, such as nats://127.0.0.1:4222")
		}
		t.urls = append(t.urls, u)
		if u.Scheme != t.urls[0].Scheme {
			return Target{}, fmt.Errorf("want one scheme, not %s and %s", t.urls[0].Scheme, u.Scheme)
		}
	}
	return t, nil
}
