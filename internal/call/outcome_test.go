package call_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"callfleet/internal/call"
)

func TestOutcomeRoundTrip(t *testing.T) {
	t.Parallel()
	started := time.UnixMilli(1769860800123).UTC()
	for _, want := range []call.Outcome{
		{
			ID: "r-1", Status: call.StatusSucceeded, Started: started, Stopped: started.Add(time.Second),
			Input: json.RawMessage(`{"a":"\"<\n"}`), Output: json.RawMessage(`{"statusCode":200,"body":3.0}`),
		},
		{ID: "r-2", Status: call.StatusFailed, Started: started, Stopped: started, Error: "Callfleet.Timeout", Cause: "x\ny"},
		{ID: "r-3", Status: call.StatusRunning, Started: started, Input: json.RawMessage(`{}`)},
	} {
		data, err := call.EncodeOutcome(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := call.DecodeOutcome(data)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// The form of an event as EventBridge delivers it.
const awsEvent = `{"version":"0","id":"315c1398-40ff-a850-213b-158f73e60175",
 "detail-type":"Step Functions Execution Status Change","source":"aws.states","account":"123456789012",
 "time":"2026-01-31T12:00:01Z","region":"us-east-1",
 "resources":["arn:aws:states:us-east-1:123456789012:execution:call-api:r-1"],
 "detail":{"executionArn":"arn:aws:states:us-east-1:123456789012:execution:call-api:r-1",
 "stateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:call-api",
 "name":"r-1","status":"SUCCEEDED","startDate":1769860800123,"stopDate":1769860801000,
 "input":"{\"templateName\": \"a\"}","output":"{\"a\":1}","inputDetails":{"included":true},
 "outputDetails":{"included":true},"stateMachineVersionArn":null,"stateMachineAliasArn":null,
 "redriveCount":0,"redriveDate":null,"redriveStatus":"NOT_REDRIVABLE","error":null,"cause":null}}`

func TestDecodeOutcomeOfAWS(t *testing.T) {
	t.Parallel()
	got, err := call.DecodeOutcome([]byte(awsEvent))
	if err != nil {
		t.Fatal(err)
	}
	want := call.Outcome{
		ID: "r-1", Status: call.StatusSucceeded,
		Input: json.RawMessage(`{"templateName": "a"}`), Output: json.RawMessage(`{"a":1}`),
		Started: time.UnixMilli(1769860800123).UTC(), Stopped: time.UnixMilli(1769860801000).UTC(),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeOutcomeWithoutItsOutput(t *testing.T) {
	t.Parallel()
	event := strings.NewReplacer(`"output":"{\"a\":1}"`, `"output":null`,
		`"outputDetails":{"included":true}`, `"outputDetails":{"included":false}`).Replace(awsEvent)
	got, err := call.DecodeOutcome([]byte(event))
	if err != nil {
		t.Fatal(err)
	}
	if !got.OutputOmitted || got.Output != nil {
		t.Errorf("got %+v", got)
	}
}

func TestDecodeOutcomeMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ old, new, want string }{
		{`"Step Functions Execution Status Change"`, `"EC2"`, `detail-type: must be "Step Functions Execution Status Change"`},
		{`"detail":{`, `"detail":null,"x":{`, "detail: is missing"},
		{`"name":"r-1"`, `"name":""`, "detail.name: must have 1 to 80 characters, has 0"},
		{`"SUCCEEDED"`, `"DONE"`, "detail.status: must be RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED"},
		{`"SUCCEEDED"`, `7`, "detail.status: must be a string, is a number"},
		{`"{\"a\":1}"`, `{"a":1}`, "detail.output: must be a string, is an object"},
		{`"{\"a\":1}"`, `"{"`, "detail.output: must be a string that holds JSON"},
		{`1769860800123`, `"2026-01-31"`, "detail.startDate: must be a time in milliseconds since 1970"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			_, err := call.DecodeOutcome([]byte(strings.Replace(awsEvent, tt.old, tt.new, 1)))
			if err == nil || err.Error() != "decode outcome: "+tt.want {
				t.Errorf("got  %v\nwant decode outcome: %s", err, tt.want)
			}
		})
	}
}

func TestStatusEnded(t *testing.T) {
	t.Parallel()
	for status, want := range map[call.Status]bool{
		call.StatusRunning: false, call.StatusSucceeded: true, call.StatusFailed: true,
		call.StatusTimedOut: true, call.StatusAborted: true, "": false, "PENDING_REDRIVE": false,
	} {
		if status.Ended() != want {
			t.Errorf("%q: got %v", status, !want)
		}
	}
}

func FuzzDecodeOutcome(f *testing.F) {
	f.Add([]byte(awsEvent))
	f.Add([]byte(`{"detail-type":"Step Functions Execution Status Change","detail":{"name":"a","status":"RUNNING","startDate":0}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := call.DecodeOutcome(data)
		if err != nil {
			return
		}
		again, err := call.EncodeOutcome(o)
		if err != nil {
			if len(data) > call.MaxOutcomeBytes/8 {
				return // escaping may make it too large
			}
			t.Fatalf("encode what was decoded: %v", err)
		}
		if _, err := call.DecodeOutcome(again); err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
	})
}
