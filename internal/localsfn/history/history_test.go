package history_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func pointer(s string) *string { return &s }

// sample has an event of every shape.
func sample() []history.Event {
	input := expr.Raw([]byte(`{"a": [1, 2]}`))
	output := expr.Raw([]byte(`{"b":"é\n\u0001"}`))
	task := &history.Task{
		Scheduled: 3, Resource: "sendMessage.waitForTaskToken", ResourceType: "sqs", Region: "us-east-1",
		TimeoutSeconds: 900, HeartbeatSeconds: 60, Secret: [16]byte{1, 2, 3},
		Credentials: expr.Raw([]byte(`{"RoleArn":"arn:aws:iam::123456789012:role/other"}`)),
	}
	function := &history.Task{Scheduled: 9, Resource: "arn:aws:lambda:us-east-1:123456789012:function:f", Region: "us-east-1"}
	activity := &history.Task{Scheduled: 12, Resource: "arn:aws:states:us-east-1:123456789012:activity:a", Region: "us-east-1", Worker: "w1"}
	start := &history.Start{Key: "k", ARN: "arn:e", Name: "e", RoleARN: "arn:role", MachineARN: "arn:m", MachineName: "m", Region: "us-east-1", Traceparent: "00-1-2-01"}
	return []history.Event{
		{Type: history.ExecutionStarted, ID: 1, At: 1700000000123, Start: start, Data: input, Next: "Call", Deadline: 1700000060123},
		{Type: history.TaskStateEntered, ID: 2, At: 1700000000123, Name: "Call", Data: input},
		{Type: history.TaskScheduled, ID: 3, Prev: 2, At: 1700000000123, Data: input, Task: task},
		{Type: history.TaskStarted, ID: 4, Prev: 3, At: 1700000000124, Task: task},
		{Type: history.TaskSubmitted, ID: 5, Prev: 4, At: 1700000000125, Task: task, Data: output},
		{Type: history.HeartbeatReceived, Prev: 5, At: 1700000000130, Task: task},
		{Type: history.TaskFailed, ID: 6, Prev: 5, At: 1700000000131, Task: task, Error: pointer("E"), Cause: pointer("")},
		{Type: history.RetryScheduled, Prev: 6, At: 1700000000131, Index: 1, Deadline: 1700000001131},
		{Type: history.TaskTimedOut, ID: 7, Prev: 6, At: 1700000000132, Task: task, Error: pointer("States.Timeout")},
		{Type: history.TaskSucceeded, ID: 8, Prev: 7, At: 1700000000132, Task: task, Data: output},
		{Type: history.LambdaFunctionScheduled, ID: 9, Prev: 8, At: 1700000000132, Task: function, Data: input},
		{Type: history.LambdaFunctionStarted, ID: 10, Prev: 9, At: 1700000000132, Task: function},
		{Type: history.LambdaFunctionSucceeded, ID: 11, Prev: 10, At: 1700000000132, Task: function, Data: output},
		{Type: history.ActivityScheduled, ID: 12, Prev: 11, At: 1700000000132, Task: activity, Data: input},
		{Type: history.ActivityStarted, ID: 13, Prev: 12, At: 1700000000132, Task: activity},
		{Type: history.ActivityFailed, ID: 14, Prev: 13, At: 1700000000132, Task: activity},
		{Type: history.TaskStateExited, ID: 15, Prev: 14, At: 1700000000132, Name: "Call", Next: "Each", Data: output, Assigned: expr.Raw([]byte(`{"x": {"y": 1}, "z": null}`))},
		{Type: history.MapStateStarted, ID: 16, Prev: 15, At: 1700000000132, Index: 2},
		{Type: history.MapIterationStarted, ID: 17, Prev: 16, At: 1700000000132, Index: 1, Name: "Each", Data: output},
		{Type: history.MapIterationFailed, ID: 18, Prev: 17, At: 1700000000132, Index: 1, Name: "Each", Frame: 7},
		{Type: history.AttemptFailed, Prev: 17, At: 1700000000132},
		{Type: history.MapStateFailed, ID: 19, Prev: 17, At: 1700000000132, Name: "Each"},
		{Type: history.ParallelStateStarted, ID: 20, Prev: 19, At: 1700000000132, Index: 2, Data: input},
		{Type: history.ExecutionSucceeded, ID: 21, Prev: 20, At: 1700000000132, Data: output},
		{Type: history.ExecutionFailed, ID: 22, Prev: 21, At: 1700000000132},
		{Type: history.ExecutionAborted, ID: 23, At: 1700000000132, Error: pointer("why")},
		{Type: history.ExecutionTimedOut, ID: 24, At: 1699999999999},
	}
}

func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	events := sample()
	decoded, err := history.Decode(history.Encode(events))
	if err != nil {
		t.Fatal(err)
	}
	if len(decoded) != len(events) {
		t.Fatalf("%d events, want %d", len(decoded), len(events))
	}
	for i := range events {
		got, want := plain(decoded[i]), plain(events[i])
		if !reflect.DeepEqual(got, want) {
			t.Errorf("event %d:\n got %+v\nwant %+v", i, got, want)
		}
	}
	if again := history.Encode(decoded); !bytes.Equal(again, history.Encode(events)) {
		t.Error("what was decoded encodes differently")
	}
}

// plain makes events comparable: values by their text.
func plain(e history.Event) map[string]any {
	m := map[string]any{
		"numbers": []int64{e.ID, e.Prev, e.At, e.Index, e.Deadline, int64(e.Frame), int64(e.Type)},
		"texts":   []string{e.Name, e.Next, string(e.Data.JSON()), string(e.Assigned.JSON())},
		"failure": []*string{e.Error, e.Cause},
		"start":   e.Start,
	}
	if e.Task != nil {
		task := *e.Task
		m["credentials"] = string(task.Credentials.JSON())
		task.Credentials = expr.Value{}
		m["task"] = task
	}
	return m
}

func TestEncodeWritesARepeatedValueOnce(t *testing.T) {
	t.Parallel()
	large := expr.String(strings.Repeat("x", 100000))
	var events []history.Event
	for id := int64(1); id <= 20; id += 2 {
		events = append(events,
			history.Event{Type: history.PassStateEntered, ID: id, Prev: id - 1, Name: "S", Data: large},
			history.Event{Type: history.PassStateExited, ID: id + 1, Prev: id, Name: "S", Data: large})
	}
	if size := len(history.Encode(events)); size > 100000+20*16 {
		t.Errorf("%d bytes for 20 events that share one value of 100,000", size)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	whole := history.Encode(sample())
	cases := map[string][]byte{
		"nothing":         nil,
		"other version":   append([]byte{99}, whole[1:]...),
		"too many events": {1, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"unknown type":    {1, 1, 99, 0},
		"no task":         {1, 1, byte(history.TaskStarted), 0},
		"no start":        {1, 1, byte(history.ExecutionStarted), 0},
		"trailing bytes":  append(bytes.Clone(whole), 0),
		"dangling text":   {1, 1, 6, 64, 9},
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := history.Decode(data); err == nil {
				t.Error("decoded")
			}
		})
	}
	for n := range len(whole) {
		if _, err := history.Decode(whole[:n]); err == nil {
			t.Fatalf("decoded a record cut to %d of %d bytes", n, len(whole))
		}
	}
}

// TestRecordsStayReadable decodes a record written by version 1 of the codec.
func TestRecordsStayReadable(t *testing.T) {
	t.Parallel()
	name := filepath.Join("testdata", "record-v1.bin")
	if *update {
		if err := os.WriteFile(name, history.Encode(sample()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	events, err := history.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range sample() {
		if got := plain(events[i]); !reflect.DeepEqual(got, plain(want)) {
			t.Errorf("event %d:\n got %+v\nwant %+v", i, got, plain(want))
		}
	}
}

func TestProjectionGolden(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]bool{"projection.jsonl": true, "projection-nodata.jsonl": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			for _, e := range sample() {
				line := e.AppendJSON(nil, data)
				if e.Type.Public() != (len(line) > 0) {
					t.Errorf("%v: public %v, %d bytes", e.Type, e.Type.Public(), len(line))
				}
				if len(line) == 0 {
					continue
				}
				if !json.Valid(line) {
					t.Errorf("%v: not JSON: %s", e.Type, line)
				}
				got.Write(append(line, '\n'))
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got\n%swant\n%s", got.Bytes(), want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(history.Encode(sample()))
	f.Add(history.Encode(sample()[:2]))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := history.Decode(data)
		if err != nil {
			return
		}
		for i := range events {
			if line := events[i].AppendJSON(nil, true); len(line) > 0 && !json.Valid(line) {
				t.Fatalf("event %d: not JSON: %s", i, line)
			}
		}
		first := history.Encode(events)
		again, err := history.Decode(first)
		if err != nil || !bytes.Equal(history.Encode(again), first) {
			t.Fatalf("decoded, encoded and decoded again it differs: %v", err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	events := sample()
	b.ReportAllocs()
	for b.Loop() {
		history.Encode(events)
	}
}

func BenchmarkDecode(b *testing.B) {
	data := history.Encode(sample())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := history.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
