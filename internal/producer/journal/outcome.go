package journal

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"callfleet/internal/call"
)

// statusCodeError starts the error name that the call state machine gives to an
// answer that is no success; the status code follows.
const statusCodeError = "Callfleet.StatusCode."

// effort finds what the cause tells of the attempts: of an answer in the state
// machine's words, of a call without one in the worker's.
var effort = regexp.MustCompile(`(?:attempts=|\()(\d{1,9})(?: attempts? in | durationMs=(\d{1,12}))`)

// Sent is what is known of a request from when it was published.
type Sent struct {
	Line    int64
	At      time.Time
	TraceID string
}

// ResultOf is the result of a request with that outcome. An answer of the API
// that is no success is a failure, whoever has judged it.
func ResultOf(o call.Outcome, sent Sent) Result {
	r := Result{
		ID: o.ID, Line: sent.Line, Status: string(o.Status), Output: o.Output, OutputOmitted: o.OutputOmitted,
		Error: o.Error, Cause: o.Cause, TraceID: sent.TraceID, Durations: &Durations{},
	}
	var answer struct {
		StatusCode int   `json:"statusCode"`
		OK         bool  `json:"ok"`
		Attempts   int   `json:"attempts"`
		DurationMS int64 `json:"durationMs"`
	}
	if len(o.Output) > 0 && o.Output[0] == '{' && json.Unmarshal(o.Output, &answer) == nil {
		r.StatusCode, r.Attempts, r.Durations.Call = answer.StatusCode, answer.Attempts, answer.DurationMS
	}
	if code, ok := strings.CutPrefix(o.Error, statusCodeError); ok {
		r.StatusCode, _ = strconv.Atoi(code)
	}
	if m := effort.FindStringSubmatch(o.Cause); m != nil && r.Attempts == 0 {
		r.Attempts, _ = strconv.Atoi(m[1])
		r.Durations.Call, _ = strconv.ParseInt(m[2], 10, 64)
	}
	// In direct mode nobody has judged the answer yet.
	if !answer.OK && o.Status == call.StatusSucceeded && r.StatusCode != 0 && (r.StatusCode < 200 || r.StatusCode > 299) {
		r.Status = string(call.StatusFailed)
		r.Error = statusCodeError + strconv.Itoa(r.StatusCode)
		r.Cause = fmt.Sprintf("the API answered %d", r.StatusCode)
	}
	r.Durations.Queue = millis(sent.At, o.Started)
	r.Durations.Total = millis(sent.At, o.Stopped)
	return r
}

// millis is the time from a to b; clocks of two machines may disagree.
func millis(a, b time.Time) int64 {
	if a.IsZero() || b.IsZero() {
		return 0
	}
	return max(b.Sub(a).Milliseconds(), 0)
}

// Failed is the result of a line that was not, or cannot be, published.
func Failed(id string, line int64, f *call.Failure) Result {
	return Result{
		ID: id, Line: line, Status: string(call.StatusFailed),
		Error: string(f.Name), Cause: f.Cause, Attempts: f.Attempts,
	}
}
