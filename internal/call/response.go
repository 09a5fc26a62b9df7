package call

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Response says what of an answer goes into the result, and which answers are
// failures. It is never written to.
type Response struct {
	// Headers are the names of those that go into the result, in lower case; a
	// "*" at the end stands for any rest. nil is all headers.
	Headers []string
	Body    BodyUse
	// Status are failures by status code, such as "404", or class, such as "4xx";
	// "" is a code that is as good as 2xx. A code goes before its class.
	Status map[string]FailureName
	// Selector makes the body of the result of that of the answer; nil is none.
	Selector Selector
}

// BodyUse is what becomes of the body of an answer.
type BodyUse int

// The uses of a body.
const (
	BodyInline BodyUse = iota // it is in the result, unless it is too large
	BodyNone                  // it is not read
	BodyKept                  // it is kept in the blob store, with a good status
)

// Selector takes parts out of the body of an answer with a good status. It is
// safe for concurrent use.
type Selector interface {
	fmt.Stringer
	// Select is the parts as JSON, which share no memory with body. missing says
	// on one line, without any of the body, which part that must be there is
	// not; "" is none. A nil body has no part.
	Select(body []byte) (selected json.RawMessage, missing string)
}

// Fails is the failure that an answer with status is, "" for none.
func (r *Response) Fails(status int) FailureName {
	name, _ := r.of(status)
	return name
}

// Accepts reports whether the template says that status is as good as 2xx.
func (r *Response) Accepts(status int) bool {
	name, ok := r.of(status)
	return ok && name == ""
}

func (r *Response) of(status int) (FailureName, bool) {
	if r == nil || len(r.Status) == 0 {
		return "", false
	}
	code := strconv.Itoa(status)
	name, ok := r.Status[code]
	if !ok {
		name, ok = r.Status[code[:1]+"xx"]
	}
	return name, ok
}

// String says on one line what the template wants of the answer.
func (r *Response) String() string {
	var list []string
	if r.Headers != nil {
		list = append(list, "headers: "+cmp.Or(strings.Join(r.Headers, ", "), "none"))
	}
	if r.Selector != nil {
		list = append(list, fmt.Sprintf("body: %v", r.Selector))
	}
	switch r.Body {
	case BodyNone:
		list = append(list, "body: none")
	case BodyKept:
		list = append(list, "body: kept in the blob store")
	}
	for _, code := range slices.Sorted(maps.Keys(r.Status)) {
		list = append(list, code+": "+cmp.Or(string(r.Status[code]), "ok"))
	}
	return strings.Join(list, "; ")
}

// Shows reports whether a header goes into the result.
func (r *Response) Shows(header string) bool {
	if r == nil || r.Headers == nil {
		return true
	}
	header = strings.ToLower(header)
	for _, name := range r.Headers {
		if start, ok := strings.CutSuffix(name, "*"); name == header || ok && strings.HasPrefix(header, start) {
			return true
		}
	}
	return false
}

// Of is what becomes of the body of an answer with status.
func (r *Response) Of(status int) (BodyUse, Selector) {
	switch {
	case r == nil:
		return BodyInline, nil
	case r.Body == BodyNone || r.Fails(status) != "":
		return BodyNone, nil
	case !r.Accepts(status) && (status < 200 || status > 299):
		return BodyInline, nil
	}
	return r.Body, r.Selector
}
