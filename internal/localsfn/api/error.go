package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"callfleet/internal/localsfn/engine"
	"callfleet/internal/localsfn/machine"
)

// apiError is an error as AWS answers it.
type apiError struct {
	kind    string // the exception's name
	message string
	status  int // default 400
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

func (e *apiError) code() int {
	if e.status == 0 {
		return http.StatusBadRequest
	}
	return e.status
}

// shapes are the namespaces of the types that are not Step Functions' own.
var shapes = map[string]string{
	"ValidationException":       "com.amazon.coral.validate#",
	"SerializationException":    "com.amazon.coral.service#",
	"UnknownOperationException": "com.amazon.coral.service#",
	"InternalServerError":       "com.amazon.coral.service#",
}

func (e *apiError) body() []byte {
	shape, ok := shapes[e.kind]
	if !ok {
		shape = "com.amazonaws.swf.service.v2.model#"
	}
	b, err := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{shape + e.kind, e.message})
	if err != nil {
		panic("api: error: " + err.Error()) // two strings
	}
	return b
}

// translate makes an answer of any error.
func translate(err error) *apiError {
	var a *apiError
	switch {
	case errors.As(err, &a):
		return a
	case errors.Is(err, machine.ErrInvalidToken):
		return &apiError{kind: "InvalidToken", message: "Invalid Token: 'Invalid token'"}
	case errors.Is(err, machine.ErrTaskGone), errors.Is(err, engine.ErrNotFound):
		return &apiError{kind: "TaskTimedOut", message: "Task Timed Out: 'Provided task does not exist anymore'"}
	case errors.Is(err, engine.ErrClosed):
		return &apiError{kind: "ServiceUnavailable", message: "the server is shutting down", status: http.StatusServiceUnavailable}
	}
	return &apiError{kind: "InternalServerError", message: "the call was not carried out: " + err.Error(), status: http.StatusInternalServerError}
}

func invalidARN(reason string) *apiError {
	return &apiError{kind: "InvalidArn", message: "Invalid Arn: '" + reason + "'"}
}

// constraints collects what is wrong with a request's members, in AWS's words.
type constraints []string

func (c *constraints) add(value, member, rule string) {
	*c = append(*c, "Value "+value+" at '"+member+"' failed to satisfy constraint: Member must "+rule)
}

// required says that a member is missing.
func (c *constraints) required(missing bool, member string) {
	if missing {
		c.add("null", member, "not be null")
	}
}

// length bounds a text.
func (c *constraints) length(s, member string, least, most int) {
	n := len(s)
	if n > most {
		n = len([]rune(s))
	}
	switch {
	case n < least:
		c.add("'"+s+"'", member, "have length greater than or equal to "+itoa(least))
	case n > most:
		c.add("'"+s+"'", member, "have length less than or equal to "+itoa(most))
	}
}

// pageSize bounds maxResults, and makes the default of 0.
func (c *constraints) pageSize(n *int) {
	switch {
	case *n < 0:
		c.add("'"+itoa(*n)+"'", "maxResults", "have value greater than or equal to 0")
	case *n > 1000:
		c.add("'"+itoa(*n)+"'", "maxResults", "have value less than or equal to 1000")
	case *n == 0:
		*n = 100
	}
}

// oneOf checks an enumeration.
func (c *constraints) oneOf(s, member string, values ...string) {
	for _, v := range values {
		if s == v {
			return
		}
	}
	c.add("'"+s+"'", member, "satisfy enum value set: ["+strings.Join(values, ", ")+"]")
}

// err is the ValidationException, or nil.
func (c constraints) err() error {
	if len(c) == 0 {
		return nil
	}
	word := " validation errors detected: "
	if len(c) == 1 {
		word = " validation error detected: "
	}
	return &apiError{kind: "ValidationException", message: itoa(len(c)) + word + strings.Join(c, "; ")}
}
