package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"callfleet/internal/config/target"
)

// parseTarget is target.Parse for settings.
func parseTarget(text string) (any, error) { return target.Parse(text) }

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
func (p *problems) checkTarget(flag string, t target.Target, forms []form, linked []string) {
	if t.IsZero() {
		return
	}
	for _, f := range forms {
		if f.scheme != t.Scheme() {
			continue
		}
		if !slices.Contains(linked, f.scheme) {
			p.add(flag, "this program has no %s backend: use %s", f.scheme, examples(forms, linked))
		} else if t.Every(f.valid) {
			return
		} else {
			p.add(flag, "want the form %s, not %s", f.example, t)
		}
		return
	}
	p.add(flag, "unknown scheme %q: use %s", t.Scheme(), examples(forms, linked))
}
