package call_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"callfleet/internal/call"
)

func TestEncodeResult(t *testing.T) {
	t.Parallel()
	r := call.Result{StatusCode: 200, Headers: map[string]string{}, Body: json.RawMessage(`"<a> & b"`), Attempts: 2, DurationMS: 7}
	const want = `{"statusCode":200,"headers":{},"body":"<a> & b","attempts":2,"durationMs":7}`
	if got, err := call.EncodeResult(r, len(want)); err != nil || string(got) != want {
		t.Errorf("EncodeResult = %s, %v, want %s", got, err, want)
	}
	_, err := call.EncodeResult(r, len(want)-1)
	if f := call.AsFailure(err); f == nil || f.Name != call.ResponseTooLarge || f.Attempts != 2 || !strings.Contains(f.Cause, "status 200") {
		t.Errorf("over the limit: %v", err)
	}
	r.Body = json.RawMessage("{")
	if _, err := call.EncodeResult(r, 1000); call.AsFailure(err).Name != call.Internal {
		t.Errorf("no JSON: %v", err)
	}
}

func TestAsFailure(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  error
		want call.FailureName
	}{
		"failure":  {fmt.Errorf("call: %w", &call.Failure{Name: call.Timeout}), call.Timeout},
		"deadline": {fmt.Errorf("call: %w", context.DeadlineExceeded), call.DeadlineExceeded},
		"other":    {errors.New("odd"), call.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := call.AsFailure(row.err); got.Name != row.want {
				t.Errorf("AsFailure(%v) = %v, want %s", row.err, got, row.want)
			}
		})
	}
	if got := call.AsFailure(nil); got != nil {
		t.Errorf("AsFailure(nil) = %v", got)
	}
}
