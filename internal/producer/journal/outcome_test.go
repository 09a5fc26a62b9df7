package journal

import (
	"encoding/json"
	"testing"

	"callfleet/internal/call"
)

func FuzzResultOf(f *testing.F) {
	f.Add(`{"statusCode":200,"attempts":2,"durationMs":7}`, "", "")
	f.Add(`[1]`, "Callfleet.StatusCode.404", "x; attempts=3 durationMs=9")
	f.Add(`{"statusCode":1e99}`, "Callfleet.StatusCode.99999999999999999999", "attempts=")
	f.Fuzz(func(t *testing.T, output, name, cause string) {
		o := call.Outcome{ID: "r-1", Status: call.StatusSucceeded, Error: name, Cause: cause}
		if json.Valid([]byte(output)) {
			o.Output = json.RawMessage(output)
		}
		r := ResultOf(o, Sent{Line: 1})
		if _, err := json.Marshal(r); err != nil || r.Attempts < 0 && cause != "" && output == "" {
			t.Errorf("%+v: %v", r, err)
		}
	})
}
