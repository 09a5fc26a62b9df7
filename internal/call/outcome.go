package call

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Status is where an execution stands, in the words of Step Functions.
type Status string

// The statuses of an execution. A call in direct mode ends as StatusSucceeded
// or StatusFailed.
const (
	StatusRunning   Status = "RUNNING"
	StatusSucceeded Status = "SUCCEEDED"
	StatusFailed    Status = "FAILED"
	StatusTimedOut  Status = "TIMED_OUT"
	StatusAborted   Status = "ABORTED"
)

// Ended reports whether the status is final.
func (s Status) Ended() bool { return s != StatusRunning && s.known() }

func (s Status) known() bool {
	switch s {
	case StatusRunning, StatusSucceeded, StatusFailed, StatusTimedOut, StatusAborted:
		return true
	}
	return false
}

// MaxOutcomeBytes bounds an encoded Outcome: input and output, each escaped
// once more to be carried as text.
const MaxOutcomeBytes = 4 << 20

// The envelope of an execution status change event (AWS Step Functions
// Developer Guide, "Automating Step Functions event delivery with
// EventBridge").
const (
	outcomeDetailType = "Step Functions Execution Status Change"
	outcomeSource     = "callfleet"
)

// Outcome is what became of a request: the status change of its execution, or,
// in direct mode, the same said by the worker.
type Outcome struct {
	ID     string // the request id, which is the execution's name
	Status Status
	// Input and Output are JSON; nil when there is none. Output of a succeeded
	// call in direct mode is a Result.
	Input, Output json.RawMessage
	// OutputOmitted says that there is an output which was too large for the
	// event: DescribeExecution has it.
	OutputOmitted    bool
	Error, Cause     string
	Started, Stopped time.Time // to the millisecond; Stopped is zero while running
}

type outcomeEvent struct {
	Version    string        `json:"version"`
	ID         string        `json:"id"`
	DetailType string        `json:"detail-type"`
	Source     string        `json:"source"`
	Time       time.Time     `json:"time"`
	Resources  []string      `json:"resources"`
	Detail     outcomeDetail `json:"detail"`
}

type outcomeDetail struct {
	Name      string  `json:"name"`
	Status    Status  `json:"status"`
	StartDate *int64  `json:"startDate"`
	StopDate  *int64  `json:"stopDate"`
	Input     *string `json:"input"`
	Output    *string `json:"output"`
	Error     string  `json:"error,omitempty"`
	Cause     string  `json:"cause,omitempty"`
}

// EncodeOutcome is o as an execution status change event with source
// "callfleet". Input and Output must be JSON.
func EncodeOutcome(o Outcome) ([]byte, error) {
	e := outcomeEvent{
		Version: "0", ID: o.ID, DetailType: outcomeDetailType, Source: outcomeSource,
		Time: o.Started.UTC(), Resources: []string{},
		Detail: outcomeDetail{
			Name: o.ID, Status: o.Status, StartDate: millis(o.Started), StopDate: millis(o.Stopped),
			Input: jsonText(o.Input), Output: jsonText(o.Output), Error: o.Error, Cause: o.Cause,
		},
	}
	if !o.Stopped.IsZero() {
		e.Time = o.Stopped.UTC()
	}
	data, err := encode(e)
	if err == nil && len(data) > MaxOutcomeBytes {
		err = tooLarge(data, MaxOutcomeBytes)
	}
	if err == nil {
		err = o.check()
	}
	if err != nil {
		return nil, fmt.Errorf("encode outcome: %w", err)
	}
	return data, nil
}

func tooLarge(data []byte, limit int) error {
	return fmt.Errorf("has %d bytes, at most %d are allowed", len(data), limit)
}

// check finds what makes an outcome useless to whoever waits for it.
func (o *Outcome) check() error {
	if err := ValidateID(o.ID); err != nil {
		return named("detail.name", err)
	}
	if !o.Status.known() {
		return errors.New("detail.status: must be RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED")
	}
	for name, t := range map[string]time.Time{"detail.startDate": o.Started, "detail.stopDate": o.Stopped} {
		if ms := millis(t); ms != nil && (*ms < 0 || *ms > maxMillis) {
			return named(name, errNoMillis)
		}
	}
	return nil
}

var errNoMillis = errors.New("must be a time in milliseconds since 1970")

// millis is what decodeMillis reads; nil for no time.
func millis(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := t.UnixMilli()
	return &ms
}

func jsonText(v json.RawMessage) *string {
	if len(v) == 0 {
		return nil
	}
	s := string(v)
	return &s
}

// DecodeOutcome reads an execution status change event, as AWS EventBridge,
// the local engine and EncodeOutcome write it: dates are Unix milliseconds,
// input and output are strings that hold JSON.
func DecodeOutcome(data []byte) (Outcome, error) {
	o, err := decodeOutcome(data)
	if err != nil {
		return Outcome{}, fmt.Errorf("decode outcome: %w", err)
	}
	return o, nil
}

func decodeOutcome(data []byte) (Outcome, error) {
	var o Outcome
	if len(data) > MaxOutcomeBytes {
		return o, tooLarge(data, MaxOutcomeBytes)
	}
	var kind string
	var detail json.RawMessage
	err := eachField(data, func(name string, v json.RawMessage) error {
		switch name {
		case "detail-type":
			return named(name, decodeString(v, &kind))
		case "detail":
			return named(name, decodeObject(v, &detail))
		}
		return nil
	})
	if err != nil {
		return o, err
	}
	if kind != outcomeDetailType {
		return o, fmt.Errorf("detail-type: must be %q", outcomeDetailType)
	}
	if detail == nil {
		return o, errors.New("detail: is missing")
	}
	err = eachField(detail, func(name string, v json.RawMessage) error {
		return named(name, o.decodeDetail(name, v))
	})
	if err != nil {
		return o, fmt.Errorf("detail.%w", err)
	}
	return o, o.check()
}

func (o *Outcome) decodeDetail(name string, v json.RawMessage) error {
	switch name {
	case "name":
		return decodeString(v, &o.ID)
	case "status":
		return decodeString(v, &o.Status)
	case "input":
		return decodeJSONText(v, &o.Input)
	case "output":
		return decodeJSONText(v, &o.Output)
	case "outputDetails":
		return decodeOmitted(v, &o.OutputOmitted)
	case "error":
		return decodeString(v, &o.Error)
	case "cause":
		return decodeString(v, &o.Cause)
	case "startDate":
		return decodeMillis(v, &o.Started)
	case "stopDate":
		return decodeMillis(v, &o.Stopped)
	}
	return nil
}

// decodeJSONText sets *j to the JSON that a JSON string holds.
func decodeJSONText(v json.RawMessage, j *json.RawMessage) error {
	var text string
	if err := decodeString(v, &text); err != nil || text == "" {
		return err
	}
	if !json.Valid([]byte(text)) {
		return errors.New("must be a string that holds JSON")
	}
	*j = json.RawMessage(text)
	return nil
}

// decodeOmitted reads {"included": false}.
func decodeOmitted(v json.RawMessage, omitted *bool) error {
	if isNull(v) {
		return nil
	}
	return eachField(v, func(name string, v json.RawMessage) error {
		if name == "included" {
			*omitted = string(v) == "false"
		}
		return nil
	})
}

func decodeMillis(v json.RawMessage, t *time.Time) error {
	if isNull(v) {
		return nil
	}
	ms, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil || ms < 0 || ms > maxMillis {
		return errNoMillis
	}
	*t = time.UnixMilli(ms).UTC()
	return nil
}

// maxMillis is the end of the year 9999, beyond which time has no JSON.
const maxMillis = 253402300799999
