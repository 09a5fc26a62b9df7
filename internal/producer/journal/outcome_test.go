package journal

import (
	"encoding/json"
	"testing"

	"callfleet/internal/call"
)

func TestEffortIsReadFromTheCause(t *testing.T) {
	t.Parallel()
	for cause, want := range map[string]Result{
		"GET t (http://x) answered 404; attempts=3 durationMs=17":       {Attempts: 3, Durations: &Durations{Call: 17}},
		"GET http://x: no whole answer within 1s (1 attempt in 1.001s)": {Attempts: 1, Durations: &Durations{}},
		"GET http://x: connection refused (12 attempts in 3s)":          {Attempts: 12, Durations: &Durations{}},
		"a state machine's own words (42)":                              {Durations: &Durations{}},
	} {
		got := ResultOf(call.Outcome{Status: call.StatusFailed, Cause: cause}, Sent{Line: 1})
		if got.Attempts != want.Attempts || got.Durations.Call != want.Durations.Call {
			t.Errorf("%q: %d attempts, %d ms", cause, got.Attempts, got.Durations.Call)
		}
	}
}

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
