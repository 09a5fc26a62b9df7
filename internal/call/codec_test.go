package call_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/evidence"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestRequestRoundTrip(t *testing.T) {
	t.Parallel()
	want := call.Request{
		ID: "r1-7", Template: "get user <ö>", Method: "GET", FlowKey: "k",
		Params:   json.RawMessage(`{"price":3.0,"big":123456789012345678901234567890,"html":"<a>&"}`),
		Deadline: time.Date(2026, 1, 31, 12, 0, 0, 5, time.UTC),
		Trace:    &call.Trace{Parent: traceparent, State: "a=b"},
	}
	data, err := call.EncodeRequest(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := call.DecodeRequest(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestTaskRoundTrip(t *testing.T) {
	t.Parallel()
	want := call.Task{
		Token: "secret-token", ID: "r1-7", Template: json.RawMessage(`{"PK":{"S":"a"}}`),
		Params: json.RawMessage(`{"a":[1.50,{"b":"}]"}]}`), FlowKey: "k", TimeoutSeconds: 900,
		Deadline: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Trace: &call.Trace{Parent: traceparent},
	}
	data, err := call.EncodeTask(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := call.DecodeTask(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestDecodeRequestDefaults(t *testing.T) {
	t.Parallel()
	for _, params := range []string{``, `,"params":null`, `,"params":{}`} {
		r, err := call.DecodeRequest([]byte(`{"templateName":"a","method":"GET","unknown":[{}]` + params + `}`))
		if err != nil {
			t.Fatalf("%q: %v", params, err)
		}
		if string(r.Params) != "{}" || r.ID != "" || r.Trace != nil || !r.Deadline.IsZero() {
			t.Errorf("%q: got %+v", params, r)
		}
	}
}

func TestDecodeMistakes(t *testing.T) {
	t.Parallel()
	decode := map[string]func([]byte) error{
		"request": func(b []byte) error { _, err := call.DecodeRequest(b); return err },
		"task":    func(b []byte) error { _, err := call.DecodeTask(b); return err },
	}
	for _, tt := range []struct{ kind, in, want string }{
		{"request", ``, "decode request: is empty"},
		{"request", `nonsense`, "decode request: is not JSON (byte 2)"},
		{"request", `{"templateName":"a","method":"GET"} x`, "decode request: is not JSON (byte 37)"},
		{"request", `[]`, "decode request: must be a JSON object, is an array"},
		{"request", `{}`, "decode request: templateName: is missing"},
		{"request", `{"TemplateName":"a","method":"GET"}`, "decode request: templateName: is missing"},
		{"request", `{"templateName":7,"method":"GET"}`, "decode request: templateName: must be a string, is a number"},
		{"request", `{"templateName":"a\u0000","method":"GET"}`, "decode request: templateName: byte 2 is a control character"},
		{"request", `{"templateName":"a"}`, "decode request: method: is missing"},
		{"request", `{"templateName":"a","method":"get"}`, "decode request: method: must be an HTTP method in capitals, such as GET"},
		{"request", `{"templateName":"a","method":"GET","params":[]}`, "decode request: params: must be an object, is an array"},
		{"request", `{"templateName":"a","method":"GET","id":"a b"}`, "decode request: id: may hold A-Z a-z 0-9 - _ only, character 2 is another"},
		{"request", `{"templateName":"a","method":"GET","deadline":"soon"}`, "decode request: deadline: must be a time such as 2026-01-31T12:00:00Z"},
		{"request", `{"templateName":"a","method":"GET","trace":"x"}`, "decode request: trace: must be a JSON object, is a string"},
		{"request", `{"templateName":"a","method":"GET","trace":{"traceparent":true}}`, "decode request: trace: traceparent: must be a string, is a boolean"},
		{"task", `{"taskToken":{}}`, "decode task: taskToken: must be a string, is an object"},
		{"task", `{"params":{}}`, "decode task: template: is missing"},
		{"task", `{"template":"x"}`, "decode task: template: must be an object, is a string"},
		{"task", `{"template":{},"params":7}`, "decode task: params: must be an object, is a number"},
		{"task", `{"template":{},"timeoutSeconds":1.5}`, "decode task: timeoutSeconds: must be a whole number from 0 to 31536000"},
		{"task", `{"template":{},"timeoutSeconds":"9"}`, "decode task: timeoutSeconds: must be a whole number from 0 to 31536000"},
		{"task", `{"template":{},"id":"ü"}`, "decode task: id: may hold A-Z a-z 0-9 - _ only, character 1 is another"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			if err := decode[tt.kind]([]byte(tt.in)); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestMessageSizeCap(t *testing.T) {
	t.Parallel()
	big := []byte(`{"template":{},"params":{"a":"` + strings.Repeat("x", call.MaxMessageBytes) + `"}}`)
	if _, err := call.DecodeTask(big); err == nil || !strings.Contains(err.Error(), "at most 1048576 are allowed") {
		t.Errorf("got %v", err)
	}
	if _, err := call.EncodeTask(call.Task{Template: json.RawMessage("{}"), Params: big[24 : len(big)-1]}); err == nil {
		t.Error("a task that cannot be decoded was encoded")
	}
}

func TestEncodeRefusesWhatDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, r := range []call.Request{
		{Method: "GET"},
		{Template: "a", Method: "GET", Params: json.RawMessage(`7`)},
		{Template: "a", Method: "GET", Params: json.RawMessage(`{`)},
		{Template: "a", Method: "GET", ID: strings.Repeat("i", 81)},
	} {
		if data, err := call.EncodeRequest(r); err == nil || data != nil {
			t.Errorf("%+v: got %s, %v", r, data, err)
		}
	}
}

func TestValidateID(t *testing.T) {
	t.Parallel()
	for id, ok := range map[string]bool{
		"a": true, "run-1": true, "A_z-9": true, strings.Repeat("x", 80): true,
		"": false, strings.Repeat("x", 81): false, "a.b": false, "a b": false, "é": false, "a\n": false,
	} {
		if err := call.ValidateID(id); (err == nil) != ok {
			t.Errorf("%q: got %v", id, err)
		}
	}
}

func TestTraceID(t *testing.T) {
	t.Parallel()
	var none *call.Trace
	if got := none.ID(); got != "" {
		t.Errorf("nil: got %q", got)
	}
	for parent, want := range map[string]string{
		traceparent: "0af7651916cd43dd8448eb211c80319c",
		"":          "",
		"00-xyz":    "",
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":     "",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":     "",
		"00-0af7651916cd43dd8448eb211c80319cXb7ad6b7169203331-01":     "",
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-new": "0af7651916cd43dd8448eb211c80319c",
	} {
		if got := (&call.Trace{Parent: parent}).ID(); got != want {
			t.Errorf("%q: got %q", parent, got)
		}
	}
}

func TestTaskTokenHidesItself(t *testing.T) {
	t.Parallel()
	task := call.Task{Token: "s3cret"}
	var log strings.Builder
	evidence.LoggerTo(t, slog.NewJSONHandler(&log, nil)).Info("x", "token", task.Token)
	all := fmt.Sprintf("%v %+v %#v %s %q", task, task, task, task.Token, task.Token) + log.String()
	if strings.Contains(all, "s3cret") {
		t.Errorf("token shows: %s", all)
	}
}

func BenchmarkDecodeTask(b *testing.B) {
	data, err := call.EncodeTask(call.Task{
		Token: call.TaskToken(strings.Repeat("t", 300)), ID: "run-17",
		Template: json.RawMessage(`{"PK":{"S":"create-user"},"SK":{"S":"POST"},"url":{"S":"https://api.example.com/users"},"payload":{"S":"{\"name\": {{ name|tojson }}}"}}`),
		Params:   json.RawMessage(`{"name":"Ada","age":36,"mail":"ada@example.com"}`),
		Trace:    &call.Trace{Parent: traceparent},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := call.DecodeTask(data); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"id":"r-1","templateName":"a","method":"GET","params":{"a":1.0},"trace":{"traceparent":"x"}}`))
	f.Add([]byte(` { "p\u0061rams" : { "}" : "\"" } , "method":"GET","templateName":"\ud83d\ude00" } `))
	f.Add([]byte(`{"deadline":"2026-01-31T12:00:00.5+02:00","templateName":"a","method":"M-SEARCH"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := call.DecodeRequest(data)
		if err != nil {
			return
		}
		var loose struct {
			Template string          `json:"templateName"`
			Params   json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(data, &loose); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		again, err := call.EncodeRequest(r)
		if err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
		if _, err := call.DecodeRequest(again); err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
	})
}

func FuzzDecodeTask(f *testing.F) {
	f.Add([]byte(`{"taskToken":"t","template":{"PK":{"S":"a"}},"params":{"a":[1,2]},"timeoutSeconds":9}`))
	f.Add([]byte(`{"template":{},"params":null,"deadline":null,"trace":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		task, err := call.DecodeTask(data)
		if err != nil {
			return
		}
		if !json.Valid(task.Template) || !json.Valid(task.Params) {
			t.Fatalf("cut wrongly: %q %q", task.Template, task.Params)
		}
		if _, err := call.EncodeTask(task); err != nil {
			t.Fatalf("encode what was decoded: %v", err)
		}
	})
}

func TestDecodeTaskTakesFromRequestWhatIsOpen(t *testing.T) {
	t.Parallel()
	task, err := call.DecodeTask([]byte(`{"taskToken":"t","id":"r-1","template":{},"timeoutSeconds":9,
		"request":{"id":"other","templateName":"n","params":{"a":1.0},"flowKey":"k","deadline":"2030-01-02T03:04:05Z","trace":{"traceparent":"p"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if task.ID != "r-1" || string(task.Params) != `{"a":1.0}` || task.FlowKey != "k" || task.Deadline.Year() != 2030 || task.Trace == nil {
		t.Errorf("got %+v", task)
	}
}

func TestDecodeTaskNamesAMistakeInRequest(t *testing.T) {
	t.Parallel()
	_, err := call.DecodeTask([]byte(`{"template":{},"request":{"params":[]}}`))
	if err == nil || !strings.Contains(err.Error(), "request: params: ") {
		t.Errorf("got %v", err)
	}
}
