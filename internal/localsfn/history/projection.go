package history

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"callfleet/internal/localsfn/expr"
)

// AppendJSON appends the event as GetExecutionHistory shows it: one JSON
// object with its timestamp in seconds since 1970. It appends nothing for an
// internal event. With includeData false, inputs and outputs are left out, as
// AWS does for includeExecutionData false.
func (e *Event) AppendJSON(dst []byte, includeData bool) []byte {
	if !e.Type.Public() {
		return dst
	}
	w := writer{dst: dst, data: includeData}
	w.open("")
	w.key("timestamp")
	w.dst = strconv.AppendFloat(w.dst, float64(e.At)/1000, 'f', 3, 64)
	w.text("type", e.Type.String())
	w.number("id", e.ID)
	w.number("previousEventId", e.Prev)
	w.details(e)
	w.close()
	return w.dst
}

// detailsOf names the member that holds an event's details. Types that have
// none on AWS are missing.
var detailsOf = map[Type]string{
	ExecutionStarted: "executionStartedEventDetails", ExecutionSucceeded: "executionSucceededEventDetails",
	ExecutionFailed: "executionFailedEventDetails", ExecutionAborted: "executionAbortedEventDetails",
	ExecutionTimedOut: "executionTimedOutEventDetails",
	MapStateStarted:   "mapStateStartedEventDetails", MapIterationStarted: "mapIterationStartedEventDetails",
	MapIterationSucceeded: "mapIterationSucceededEventDetails", MapIterationFailed: "mapIterationFailedEventDetails",
	MapIterationAborted: "mapIterationAbortedEventDetails",
	TaskScheduled:       "taskScheduledEventDetails", TaskStarted: "taskStartedEventDetails",
	TaskStartFailed: "taskStartFailedEventDetails", TaskSubmitted: "taskSubmittedEventDetails",
	TaskSubmitFailed: "taskSubmitFailedEventDetails", TaskSucceeded: "taskSucceededEventDetails",
	TaskFailed: "taskFailedEventDetails", TaskTimedOut: "taskTimedOutEventDetails",
	LambdaFunctionScheduled:      "lambdaFunctionScheduledEventDetails",
	LambdaFunctionScheduleFailed: "lambdaFunctionScheduleFailedEventDetails",
	LambdaFunctionStartFailed:    "lambdaFunctionStartFailedEventDetails",
	LambdaFunctionSucceeded:      "lambdaFunctionSucceededEventDetails",
	LambdaFunctionFailed:         "lambdaFunctionFailedEventDetails",
	LambdaFunctionTimedOut:       "lambdaFunctionTimedOutEventDetails",
	ActivityScheduled:            "activityScheduledEventDetails", ActivityScheduleFailed: "activityScheduleFailedEventDetails",
	ActivityStarted: "activityStartedEventDetails", ActivitySucceeded: "activitySucceededEventDetails",
	ActivityFailed: "activityFailedEventDetails", ActivityTimedOut: "activityTimedOutEventDetails",
}

func (w *writer) details(e *Event) {
	switch {
	case e.Type.Entered():
		w.open("stateEnteredEventDetails")
		w.text("name", e.Name)
		w.value("input", e.Data)
		w.close()
		return
	case e.Type.Exited():
		w.open("stateExitedEventDetails")
		w.text("name", e.Name)
		w.value("output", e.Data)
		w.assigned(e.Assigned)
		w.close()
		return
	}
	name, ok := detailsOf[e.Type]
	if !ok {
		return
	}
	w.open(name)
	switch e.Type {
	case ExecutionStarted:
		w.value("input", e.Data)
		w.text("roleArn", e.Start.RoleARN)
	case ExecutionSucceeded:
		w.value("output", e.Data)
	case MapStateStarted:
		w.number("length", e.Index)
	case MapIterationStarted, MapIterationSucceeded, MapIterationFailed, MapIterationAborted:
		w.text("name", e.Name)
		w.number("index", e.Index)
	case TaskScheduled:
		w.scheduled(e)
	case LambdaFunctionScheduled, ActivityScheduled:
		w.text("resource", e.Task.Resource)
		w.value("input", e.Data)
		w.bounds(e)
	case ActivityStarted:
		w.optional("workerName", e.Task.Worker)
	case TaskStarted:
		w.resource(e)
	case TaskSubmitted, TaskSucceeded:
		w.resource(e)
		w.value("output", e.Data)
	case LambdaFunctionSucceeded, ActivitySucceeded:
		w.value("output", e.Data)
	case TaskFailed, TaskTimedOut, TaskStartFailed, TaskSubmitFailed:
		w.resource(e)
		w.failure(e)
	default:
		w.failure(e)
	}
	w.close()
}

// writer builds one JSON object with nested ones.
type writer struct {
	dst  []byte
	data bool
}

// open starts an object, as a member if it has a name.
func (w *writer) open(name string) {
	if name != "" {
		w.key(name)
	}
	w.dst = append(w.dst, '{')
}

func (w *writer) close() { w.dst = append(w.dst, '}') }

func (w *writer) key(name string) {
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, name...)
	w.dst = append(w.dst, '"', ':')
}

func (w *writer) text(name, s string) {
	w.key(name)
	w.dst = appendString(w.dst, s)
}

func (w *writer) optional(name, s string) {
	if s != "" {
		w.text(name, s)
	}
}

func (w *writer) number(name string, n int64) {
	w.key(name)
	w.dst = strconv.AppendInt(w.dst, n, 10)
}

// value writes a JSON value as text, with the note that it is whole.
func (w *writer) value(name string, v expr.Value) {
	if w.data {
		w.text(name, string(v.JSON()))
	}
	w.key(name + "Details")
	w.dst = append(w.dst, `{"truncated":false}`...)
}

func (w *writer) assigned(v expr.Value) {
	if v.Len() == 0 {
		return
	}
	if w.data {
		w.open("assignedVariables")
		for _, m := range v.Members() {
			w.text(m.Key, compact(m.Value))
		}
		w.close()
	}
	w.key("assignedVariablesDetails")
	w.dst = append(w.dst, `{"truncated":false}`...)
}

func (w *writer) resource(e *Event) {
	w.text("resourceType", e.Task.ResourceType)
	w.text("resource", e.Task.Resource)
}

func (w *writer) scheduled(e *Event) {
	w.resource(e)
	w.text("region", e.Task.Region)
	if w.data {
		w.text("parameters", string(e.Data.JSON()))
	}
	w.bounds(e)
}

func (w *writer) bounds(e *Event) {
	if e.Task.TimeoutSeconds > 0 {
		w.number("timeoutInSeconds", e.Task.TimeoutSeconds)
	}
	if e.Task.HeartbeatSeconds > 0 {
		w.number("heartbeatInSeconds", e.Task.HeartbeatSeconds)
	}
	if role := e.Task.Credentials.Get("RoleArn"); !role.IsAbsent() {
		w.open("taskCredentials")
		w.text("roleArn", role.Text())
		w.close()
	}
}

func (w *writer) failure(e *Event) {
	if e.Error != nil {
		w.text("error", *e.Error)
	}
	if e.Cause != nil {
		w.text("cause", *e.Cause)
	}
}

// compact is a value's JSON without spaces.
func compact(v expr.Value) string {
	text := v.JSON()
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		return string(text)
	}
	return out.String()
}

// appendString appends s as a JSON string. It escapes what JSON demands and
// nothing else.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		i++
	}
	return append(dst, '"')
}
