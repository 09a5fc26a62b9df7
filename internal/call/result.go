package call

import (
	"context"
	"errors"
	"fmt"
)

// EncodeResult is the JSON of r, with its body as it came, or a *Failure with
// ResponseTooLarge when it has more than limit bytes.
func EncodeResult(r Result, limit int) ([]byte, error) {
	out, err := encode(r)
	if err != nil {
		return nil, &Failure{Name: Internal, Cause: "encode result: " + err.Error(), Attempts: r.Attempts}
	}
	if len(out) > limit {
		return nil, &Failure{Name: ResponseTooLarge, Attempts: r.Attempts, Cause: fmt.Sprintf(
			"the answer has status %d and makes an output of %d bytes, at most %d are allowed", r.StatusCode, len(out), limit)}
	}
	return out, nil
}

// AsFailure gives every error of a call a name that a state machine can match;
// nil for none.
func AsFailure(err error) *Failure {
	var f *Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{Name: DeadlineExceeded, Cause: "the time budget of the task is used up"}
	default:
		return &Failure{Name: Internal, Cause: err.Error()}
	}
}
