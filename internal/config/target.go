package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
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

// or is the Target, or that of a URL when it is zero.
func (t Target) or(fallback string) Target {
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

// parseTarget takes one URL, or several of one scheme separated by commas. Its
// errors do not show the text: it may hold a password.
func parseTarget(text string) (any, error) {
	if text == "" {
		return Target{}, nil
	}
	t := Target{text: text}
	for part := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Scheme == "" {
			return nil, errors.New("want a URL, scheme first, such as nats://127.0.0.1:4222")
		}
		t.urls = append(t.urls, u)
		if u.Scheme != t.urls[0].Scheme {
			return nil, fmt.Errorf("want one scheme, not %s and %s", t.urls[0].Scheme, u.Scheme)
		}
	}
	return t, nil
}

// Schemes are the backends that a program has, by the scheme of their URLs.
type Schemes struct{ Queue, StepFunctions, Templates, Blobs []string }

// form is how the URL of one backend looks.
type form struct {
	scheme  string
	example string
	valid   func(*url.URL) bool
}

func hasHost(u *url.URL) bool { return u.Hostname() != "" && u.Opaque == "" }
func bareHost(u *url.URL) bool {
	return hasHost(u) && (u.Path == "" || u.Path == "/") && u.RawQuery == ""
}

// queuePrefix leaves room in the 80 characters of an SQS queue's name for
// "-results-", a run of 40 and "-dlq.fifo".
var queuePrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{1,20}$`)

// isQueuePrefix takes sqs://calls and sqs://calls?fifo=true.
func isQueuePrefix(u *url.URL) bool {
	fifo := u.RawQuery == "" || u.RawQuery == "fifo=true" || u.RawQuery == "fifo=false"
	return u.Opaque == "" && (u.Path == "" || u.Path == "/") && u.User == nil && queuePrefix.MatchString(u.Host) && fifo
}
func hasPlace(u *url.URL) bool { return u.Opaque == "" && u.Host+u.Path != "" }
func isEmpty(u *url.URL) bool  { return u.Opaque == "" && u.Host == "" && u.Path == "" }

var (
	queueForms = []form{
		{"nats", "nats://127.0.0.1:4222", bareHost},
		{"sqs", "sqs://calls", isQueuePrefix},
	}
	stepFunctionsForms = []form{
		{"http", "http://127.0.0.1:8083", bareHost},
		{"https", "https://stepfunctions.example", bareHost},
		{"aws", "aws:", isEmpty},
	}
	templatesForms = []form{
		{"nats", "nats://127.0.0.1:4222", bareHost},
		{"dynamodb", "dynamodb://API_Template_Table", bareHost},
		{"file", "file://templates", hasPlace},
	}
	blobsForms = []form{
		{"nats", "nats://127.0.0.1:4222", bareHost},
		{"s3", "s3://bucket", hasHost},
		{"file", "file://blobs", hasPlace},
	}
	endpointForms = []form{
		{"http", "http://127.0.0.1:9000", hasHost},
		{"https", "https://lambda.internal", hasHost},
	}
)

// examples are URLs of the backends that a program has: "a or b".
func examples(forms []form, linked []string) string {
	var urls []string
	for _, f := range forms {
		if slices.Contains(linked, f.scheme) {
			urls = append(urls, f.example)
		}
	}
	return strings.Join(urls, " or ")
}

// checkTarget reports a scheme that nobody knows, one that this program does
// not have, and a URL that lacks something.
func (p *problems) checkTarget(flag string, t Target, forms []form, linked []string) {
	if t.IsZero() {
		return
	}
	for _, f := range forms {
		if f.scheme != t.Scheme() {
			continue
		}
		if !slices.Contains(linked, f.scheme) {
			p.add(flag, "this program has no %s backend: use %s", f.scheme, examples(forms, linked))
		} else if !slices.ContainsFunc(t.urls, func(u *url.URL) bool { return !f.valid(u) }) {
			return
		} else {
			p.add(flag, "want the form %s, not %s", f.example, t)
		}
		return
	}
	p.add(flag, "unknown scheme %q: use %s", t.Scheme(), examples(forms, linked))
}
