package call

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// MaxBatch is the most calls that one execution carries.
const MaxBatch = 1000

// Batch are the calls that one execution, and one task, carry: all of one
// template and method. They are in the message, or in the blob store.
type Batch struct {
	Count int `json:"count"`
	// TimeoutSeconds is the time of the whole batch.
	TimeoutSeconds int         `json:"timeoutSeconds"`
	Calls          []BatchCall `json:"calls,omitempty"`
	// CallsRef is what EncodeCalls makes of the calls, in place of Calls.
	CallsRef *BlobRef `json:"callsRef,omitempty"`
}

// BatchCall is one call of a batch. What its fields say is what those of a
// Request say.
type BatchCall struct {
	ID       string          `json:"id"`
	Params   json.RawMessage `json:"params"`
	FlowKey  string          `json:"flowKey,omitempty"`
	Deadline time.Time       `json:"deadline,omitzero"`
	Trace    *Trace          `json:"trace,omitempty"`
}

// BatchTimeout is how many seconds a batch of n calls has: 15 minutes, as a
// call alone has them, and half a minute more for each call, since it may have
// to make them one by one. With MaxBatch that is less than the 12 hours for
// which SQS leases a message at most.
func BatchTimeout(n int) int { return 900 + 30*n }

// CallOutcome is what became of one call of a batch: a line of its results.
type CallOutcome struct {
	ID      string          `json:"id"`
	Output  json.RawMessage `json:"output,omitempty"` // a Result
	Error   FailureName     `json:"error,omitempty"`
	Cause   string          `json:"cause,omitempty"`
	Started time.Time       `json:"started"`
	Stopped time.Time       `json:"stopped"`
}

// Outcome is what the same call would have come to without an execution.
func (c CallOutcome) Outcome() Outcome {
	o := Outcome{ID: c.ID, Status: StatusSucceeded, Output: c.Output, Error: string(c.Error), Cause: c.Cause, Started: c.Started, Stopped: c.Stopped}
	if c.Error != "" {
		o.Status = StatusFailed
	}
	return o
}

// answer is its status code, 0 without one, and whether that is a success.
func (c CallOutcome) answer() (code int, ok bool) {
	var answer struct {
		StatusCode int  `json:"statusCode"`
		OK         bool `json:"ok"`
	}
	if len(c.Output) == 0 || json.Unmarshal(c.Output, &answer) != nil {
		return 0, false
	}
	return answer.StatusCode, answer.OK || answer.StatusCode >= 200 && answer.StatusCode <= 299
}

// Manifest is the output of the task of a batch.
type Manifest struct {
	Calls     int            `json:"calls"`
	Succeeded int            `json:"succeeded"` // answers with 2xx, or what the template takes for as good
	Failed    int            `json:"failed"`    // other answers, and calls without one
	ByStatus  map[string]int `json:"byStatus"`  // answers: "2xx", "4xx" …
	ByError   map[string]int `json:"byError"`   // failed calls by error name, as a state machine would have named them
	// Results are all calls' when that is little, else it is nil and ResultsRef
	// is what EncodeOutcomes made of them.
	Results    []CallOutcome `json:"results,omitempty"`
	ResultsRef *BlobRef      `json:"resultsRef,omitempty"`
}

// StatusError is the error name of an answer that is no success.
func StatusError(code int) FailureName {
	return FailureName("Callfleet.StatusCode." + strconv.Itoa(code))
}

// Count makes a manifest of outcomes, without the results.
func Count(outcomes []CallOutcome) Manifest {
	m := Manifest{Calls: len(outcomes), ByStatus: map[string]int{}, ByError: map[string]int{}}
	for _, o := range outcomes {
		code, ok := o.answer()
		name := o.Error
		if code != 0 {
			m.ByStatus[strconv.Itoa(code/100)+"xx"]++
		}
		if name == "" && !ok {
			name = StatusError(code)
		}
		if name == "" {
			m.Succeeded++
			continue
		}
		m.Failed++
		m.ByError[string(name)]++
	}
	return m
}

// EncodeManifest is the JSON of m.
func EncodeManifest(m Manifest) ([]byte, error) {
	data, err := encode(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return data, nil
}

// DecodeManifest reads the output of a batch's task.
func DecodeManifest(data []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("decode manifest: %w", err)
	}
	if m.Calls < 1 || m.Results == nil && m.ResultsRef == nil {
		return m, errors.New("decode manifest: this is no output of a batch")
	}
	return m, nil
}

// EncodeCalls is one call a line. The same calls have the same text.
func EncodeCalls(calls []BatchCall) ([]byte, error) { return encodeLines("call", calls) }

// DecodeCalls reads what EncodeCalls has written.
func DecodeCalls(data []byte) ([]BatchCall, error) {
	return decodeLines(data, "call", decodeBatchCall)
}

// EncodeOutcomes is one outcome a line.
func EncodeOutcomes(outcomes []CallOutcome) ([]byte, error) { return encodeLines("outcome", outcomes) }

// DecodeOutcomes reads what EncodeOutcomes has written.
func DecodeOutcomes(data []byte) ([]CallOutcome, error) {
	return decodeLines(data, "outcome", func(line []byte) (o CallOutcome, err error) {
		if err = json.Unmarshal(line, &o); err == nil {
			err = named("id", ValidateID(o.ID))
		}
		return o, err
	})
}
