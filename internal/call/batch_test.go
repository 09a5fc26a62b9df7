package call

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
)

func TestBatchOfRequestAndTask(t *testing.T) {
	t.Parallel()
	want := Batch{Count: 2, TimeoutSeconds: 960, Calls: []BatchCall{
		{ID: "r-1", Params: json.RawMessage(`{"n":1.0,"t":"<&>"}`), FlowKey: "k"},
		{ID: "r-2", Params: json.RawMessage(`{}`), Deadline: time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC), Trace: &Trace{Parent: "p"}},
	}}
	body, err := EncodeRequest(Request{ID: "r-batch-1", Template: "t", Method: "GET", Batch: &want})
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeRequest(body)
	if err != nil {
		t.Fatal(err)
	}
	// As the state machine hands it off, and as a worker publishes it again.
	task, err := DecodeTask([]byte(`{"taskToken":"x","id":"r-batch-1","template":{},"timeoutSeconds":960,"request":` + string(body) + `}`))
	if err != nil {
		t.Fatal(err)
	}
	again, err := EncodeTask(task)
	if err != nil {
		t.Fatal(err)
	}
	if task, err = DecodeTask(again); err != nil {
		t.Fatal(err)
	}
	for _, got := range []*Batch{r.Batch, task.Batch} {
		if got == nil || got.Count != 2 || got.TimeoutSeconds != 960 || len(got.Calls) != 2 {
			t.Fatalf("%+v", got)
		}
		for i, c := range got.Calls {
			w := want.Calls[i]
			if c.ID != w.ID || string(c.Params) != string(w.Params) || c.FlowKey != w.FlowKey || !c.Deadline.Equal(w.Deadline) || (c.Trace == nil) != (w.Trace == nil) {
				t.Errorf("call %d: %+v, want %+v", i+1, c, w)
			}
		}
	}
	if r, err := DecodeRequest([]byte(`{"templateName":"t","method":"GET","batch":null}`)); err != nil || r.Batch != nil {
		t.Errorf("null: %+v, %v", r.Batch, err)
	}
}

func TestBatchesThatAreNone(t *testing.T) {
	t.Parallel()
	ref := `{"url":"file:///x","bytes":1,"sha256":"` + strings.Repeat("0", 64) + `"}`
	for text, want := range map[string]string{
		`[]`:          "batch: must be a JSON object, is an array",
		`{"count":1}`: "one of calls and callsRef",
		`{"count":1,"calls":[{"id":"a"}],"callsRef":` + ref + `}`:  "one of calls and callsRef",
		`{"count":2,"calls":[{"id":"a"}]}`:                         "count: is 2, but there are 1 calls",
		`{"count":0,"calls":[]}`:                                   "count: must be a whole number from 1 to 1000",
		`{"count":1001,"callsRef":` + ref + `}`:                    "count: must be a whole number from 1 to 1000",
		`{"count":1,"calls":[{"id":"a b"}]}`:                       "calls: call 1: id: may hold",
		`{"count":1,"calls":[{"params":{}}]}`:                      "calls: call 1: id: must have",
		`{"count":1,"calls":[{"id":"a","params":[]}]}`:             "params: must be an object",
		`{"count":1,"calls":{}}`:                                   "calls: must be an array, is an object",
		`{"count":1,"callsRef":{"url":"file:///x","sha256":"no"}}`: "callsRef: $ref: sha256",
		`{"count":1,"callsRef":7}`:                                 "callsRef: must be an object",
	} {
		_, err := DecodeRequest([]byte(`{"templateName":"t","method":"GET","batch":` + text + `}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestCountOutcomes(t *testing.T) {
	t.Parallel()
	answer := func(text string) CallOutcome { return CallOutcome{ID: "r-1", Output: json.RawMessage(text)} }
	m := Count([]CallOutcome{
		answer(`{"statusCode":200}`), answer(`{"statusCode":299}`), answer(`{"statusCode":404}`), answer(`{"statusCode":404,"ok":true}`), answer(`{"statusCode":503}`), answer(`{"statusCode":503}`),
		{ID: "r-2", Error: Timeout, Cause: "too late"},
	})
	if m.Calls != 7 || m.Succeeded != 3 || m.Failed != 4 ||
		!maps.Equal(m.ByStatus, map[string]int{"2xx": 2, "4xx": 2, "5xx": 2}) ||
		!maps.Equal(m.ByError, map[string]int{"Callfleet.StatusCode.404": 1, "Callfleet.StatusCode.503": 2, "Callfleet.Timeout": 1}) {
		t.Errorf("%+v", m)
	}
	for _, text := range []string{`{}`, `[]`, `{"calls":1}`, `{"statusCode":200}`} {
		if _, err := DecodeManifest([]byte(text)); err == nil {
			t.Errorf("%s passes as a manifest", text)
		}
	}
}

// Whatever a batch is read from, what was read can be written and read again.
func FuzzDecodeCalls(f *testing.F) {
	f.Add([]byte(`{"id":"r-1","params":{"n":1},"deadline":"2030-01-02T03:04:05Z","trace":{"traceparent":"p"}}` + "\n" + `{"id":"r-2"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		calls, err := DecodeCalls(data)
		if err != nil {
			return
		}
		text, err := EncodeCalls(calls)
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", calls, err)
		}
		again, err := DecodeCalls(text)
		if err != nil || len(again) != len(calls) {
			t.Fatalf("%q: %d calls of %d, %v", text, len(again), len(calls), err)
		}
	})
}
