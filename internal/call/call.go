// Package call holds the domain of the fleet: what is asked for, what is
// handed to a worker, and what came of it, with their wire formats. Everything
// else in the fleet is built on these types; this package is built on the
// standard library alone.
package call

import (
	"encoding/json"
	"errors"
	"log/slog"
	"time"
)

// Request asks for one templated API call. As JSON it is the message on the
// requests queue and the input of the execution alike.
type Request struct {
	// ID names the execution, is the broker's dedup id and the Idempotency-Key
	// of the call. It is "<run>-<line or the caller's own id>", at most 80
	// characters of A-Z a-z 0-9 - _ (what Step Functions takes as a name).
	ID string `json:"id,omitempty"`
	// Template and Method are the key of the template (PK and SK).
	Template string `json:"templateName"`
	Method   string `json:"method"`
	// Version pins a version of the template; 0 is the current one. In JSON it
	// is a part of the method, see PinMethod.
	Version  int             `json:"-"`
	Params   json.RawMessage `json:"params"` // a JSON object, numbers as written
	FlowKey  string          `json:"flowKey,omitempty"`
	Deadline time.Time       `json:"deadline,omitzero"` // not called after it
	Trace    *Trace          `json:"trace,omitempty"`
	Batch    *Batch          `json:"batch,omitempty"` // many calls in place of one: Params, FlowKey and Deadline are theirs
}

// Trace is a W3C trace context, carried in bodies because message headers do
// not pass through Step Functions.
type Trace struct {
	Parent string `json:"traceparent"`
	State  string `json:"tracestate,omitempty"`
}

// TaskToken is the callback token of Step Functions. It is a secret: it hides
// itself when printed or logged.
type TaskToken string

// String hides the token.
func (t TaskToken) String() string {
	if t == "" {
		return ""
	}
	return "[task token]"
}

// GoString hides the token from %#v.
func (t TaskToken) GoString() string { return t.String() }

// LogValue hides the token from structured logs, which encode by JSON.
func (t TaskToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Task is one call handed to a worker. Token is empty in direct mode: the
// worker then publishes the Outcome to the results queue itself.
type Task struct {
	Token    TaskToken       `json:"taskToken,omitempty"`
	ID       string          `json:"id,omitempty"`
	Template json.RawMessage `json:"template"` // the DynamoDB JSON item, as getItem returns it
	Params   json.RawMessage `json:"params"`
	FlowKey  string          `json:"flowKey,omitempty"`
	Deadline time.Time       `json:"deadline,omitzero"`
	Trace    *Trace          `json:"trace,omitempty"`
	// TimeoutSeconds is the task's whole budget, counted from the moment the
	// message was sent; 0 is none.
	TimeoutSeconds int    `json:"timeoutSeconds,omitempty"`
	Batch          *Batch `json:"batch,omitempty"`
}

// Rendered is the HTTP request that a template and its params make.
type Rendered struct {
	Method string
	URL    string
	Header []Header // in the order of the template
	Body   []byte
	// BodyRef is the body in place of Body, which is nil then.
	BodyRef *BlobRef
	// Inserts stand within Body, in the order of their places.
	Inserts []Insert
	// MaxInline bounds the body that goes into the result, where larger ones can
	// go elsewhere; 0 is the caller's default.
	MaxInline int
	// Timeout bounds one attempt; 0 is the caller's default.
	Timeout time.Duration
	Retry   *Retry // nil is the caller's default
	// Auth is applied to every attempt, in its order.
	Auth []Auth
	// Secrets are put in place of their marks in URL, headers, body and Auth
	// when the request is sent; nil is none.
	Secrets *Secrets
	// Response says what of the answer goes into the result; nil is all of it.
	Response *Response
	// Flow is the flow key that the template names, "" when it names none.
	Flow string
}

// Header is one header line.
type Header struct{ Name, Value string }

// Retry is a template's own retry policy.
type Retry struct {
	MaxAttempts int           // attempts in all, 1 is no retry
	MaxDelay    time.Duration // longest pause between attempts
}

// Result is an answer of the API, whatever its status code. As JSON it is the
// output of the task.
type Result struct {
	StatusCode   int               `json:"statusCode"`
	OK           bool              `json:"ok,omitempty"` // the template says that the status is as good as 2xx
	Headers      map[string]string `json:"headers"`
	Body         json.RawMessage   `json:"body,omitempty"`         // JSON as it came, else a JSON string
	BodyEncoding string            `json:"bodyEncoding,omitempty"` // "base64" for a binary body
	BodyRef      *BlobRef          `json:"bodyRef,omitempty"`      // in place of Body when that is too large
	Attempts     int               `json:"attempts"`
	DurationMS   int64             `json:"durationMs"`
}

// BlobRef stands for a body that is kept in the blob store. What package blob
// says of its Ref holds.
type BlobRef struct {
	URL         string `json:"url"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"contentType,omitempty"`
	SHA256      string `json:"sha256"`
}

// Insert is a blob within a body, before the byte at a place of it.
type Insert struct {
	At  int
	Ref BlobRef
}

// FailureName is the error name that a state machine matches: one of these, or
// one that a template gives to a status code.
type FailureName string

// The failures of a call that got no usable answer.
const (
	NotStarted       FailureName = "Callfleet.NotStarted" // Step Functions refused the request for good
	TemplateNotFound FailureName = "Callfleet.TemplateNotFound"
	RenderFailed     FailureName = "Callfleet.RenderFailed"
	EgressDenied     FailureName = "Callfleet.EgressDenied"
	Timeout          FailureName = "Callfleet.Timeout"
	ConnectionFailed FailureName = "Callfleet.ConnectionFailed"
	RateLimited      FailureName = "Callfleet.RateLimited"
	CircuitOpen      FailureName = "Callfleet.CircuitOpen"
	ResponseTooLarge FailureName = "Callfleet.ResponseTooLarge"
	ResponseEncoded  FailureName = "Callfleet.ResponseEncoded" // in a way in which no secret would be seen
	SelectFailed     FailureName = "Callfleet.SelectFailed"    // the answer lacks what the template requires of it
	BadReference     FailureName = "Callfleet.BadReference"    // to a body that is not there, or not of this fleet
	BlobUnavailable  FailureName = "Callfleet.BlobUnavailable" // the store of large bodies did not answer in time
	DeadlineExceeded FailureName = "Callfleet.DeadlineExceeded"
	AuthFailed       FailureName = "Callfleet.AuthFailed" // no secret, or no token: nothing was sent to the API
	Internal         FailureName = "Callfleet.Internal"   // a panic in the call, contained to it
)

// Failure is a call that got no usable answer.
type Failure struct {
	Name     FailureName
	Cause    string // one line: what was tried, on what; no secrets
	Attempts int
}

// Error is "name: cause".
func (f *Failure) Error() string { return string(f.Name) + ": " + f.Cause }

// ErrTaskGone says that a task token is no longer waiting: the task was
// settled before, timed out, or its execution ended. It means settled, and is
// no error of the caller.
var ErrTaskGone = errors.New("task is no longer waiting")
