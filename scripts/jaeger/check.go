package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// called is one call of the run: what was asked for, its result, and its trace.
type called struct {
	kind   *kind
	result result
	trace  *trace
}

// result is the part of a results line that is compared.
type result struct {
	ID         string `json:"id"`
	Line       int    `json:"line"`
	Status     string `json:"status"`
	Error      string `json:"error"`
	StatusCode int    `json:"statusCode"`
	TraceID    string `json:"traceId"`
}

// wanted are the tags of each span, by service and operation: "*" is any value,
// "" none, and a word in braces what the call has.
func wanted(system string) map[string]map[string]string {
	message := func(destination, operation, id string) map[string]string {
		return map[string]string{
			"messaging.system": system, "messaging.destination.name": destination, "messaging.operation.name": operation,
			"messaging.operation.type": operation, "messaging.message.id": id,
		}
	}
	with := func(tags map[string]string, more ...string) map[string]string {
		for i := 0; i < len(more); i += 2 {
			tags[more[i]] = more[i+1]
		}
		return tags
	}
	rpc := func(service, method string) map[string]string {
		return map[string]string{"rpc.system": "aws-api", "rpc.service": service, "rpc.method": method}
	}
	call := []string{"callfleet.request.id", "{id}", "callfleet.template", "{template}"}
	delivered := append([]string{"callfleet.delivery.attempt", "*"}, call...)
	return map[string]map[string]string{
		"producer send requests":  with(message("requests", "send", "{id}"), call...),
		"producer send tasks":     with(message("tasks", "send", "{id}"), call...),
		"worker process requests": with(message("requests", "process", "*"), delivered...),
		"worker process tasks":    with(message("tasks", "process", "*"), append(delivered, "callfleet.settlement", "*")...),
		"worker render":           {"url.full": ""},
		"worker POST": {
			"http.request.method": "POST", "url.full": "{url}", "url.query": "", "server.address": "127.0.0.1", "server.port": "*",
		},
		"worker report": {"error": "", "callfleet.template": ""},
		"stepfunctions StepFunctions/StartExecution":    rpc("StepFunctions", "StartExecution"),
		"stepfunctions StepFunctions/SendTaskSuccess":   rpc("StepFunctions", "SendTaskSuccess"),
		"stepfunctions StepFunctions/SendTaskFailure":   rpc("StepFunctions", "SendTaskFailure"),
		"stepfunctions StepFunctions/SendTaskHeartbeat": rpc("StepFunctions", "SendTaskHeartbeat"),
		"stepfunctions execution call-api": {
			"callfleet.execution.name": "{id}", "callfleet.execution.status": "{status}",
			"aws.step_functions.execution.arn": "*", "aws.step_functions.state_machine.arn": "*",
		},
		"stepfunctions DynamoDB/GetItem": with(rpc("DynamoDB", "GetItem"), "callfleet.execution.name", "{id}"),
		"stepfunctions send tasks":       with(message("tasks", "send", "*"), "callfleet.execution.name", "{id}"),
	}
}

// checker compares calls with their traces.
type checker struct {
	tags map[string]map[string]string
	api  string // address of the API that was called
	from time.Time
	to   time.Time
}

// check returns everything that is wrong with a call's trace.
func (c *checker) check(call *called) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	k, r := call.kind, call.result
	if r.Status != k.status || r.Error != k.failure || r.StatusCode != k.code {
		bad("the result is %s %q %d, want %s %q %d", r.Status, r.Error, r.StatusCode, k.status, k.failure, k.code)
	}
	tree := "its trace " + r.TraceID + " is\n" + call.trace.tree()
	if call.trace.tree() != k.tree {
		bad("the trace is not as expected")
		tree += "want\n" + k.tree
	}
	for _, s := range call.trace.Spans {
		for _, err := range c.span(call, s) {
			bad("%s %s: %w", s.service, s.OperationName, err)
		}
	}
	for _, err := range c.times(call) {
		bad("%w", err)
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("call %s of template %s:\n%w\n%s", r.ID, k.name, errors.Join(errs...), tree)
}

// span checks the tags of one span.
func (c *checker) span(call *called, s *span) (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	tags, ok := c.tags[s.service+" "+s.OperationName]
	if !ok {
		bad("a span that no call has")
	}
	for name, want := range tags {
		got := s.Tags.get(name)
		want = strings.NewReplacer("{id}", call.result.ID, "{template}", call.kind.name, "{status}", call.kind.status,
			"{url}", fmt.Sprintf("http://%s/%s/%d", c.api, call.kind.way(), call.result.Line)).Replace(want)
		if got != want && (want != "*" || got == "") {
			bad("tag %s is %q, want %q", name, got, want)
		}
	}
	failed := s.Tags.get("error") == "true"
	if failed != (s.Tags.get("otel.status_code") == "ERROR") || failed != (s.Tags.get("error.type") != "") {
		bad("error=%q, otel.status_code=%q, error.type=%q: want all of them or none",
			s.Tags.get("error"), s.Tags.get("otel.status_code"), s.Tags.get("error.type"))
	}
	if failed && strings.HasPrefix(s.Tags.get("error.type"), "Callfleet.") && s.Tags.get("otel.status_description") == "" {
		bad("otel.status_description is empty, want why it failed")
	}
	for _, ref := range s.References {
		if ref.RefType != "CHILD_OF" || ref.TraceID != s.TraceID {
			bad("reference %s to trace %s, want parents within the trace alone", ref.RefType, ref.TraceID)
		}
	}
	for _, w := range s.Warnings {
		// Jaeger takes what goes on after its parent for work of another clock,
		// when it is the shorter of the two. Its times are checked below.
		async := s.Tags.get("span.kind") == "consumer" || strings.HasPrefix(s.OperationName, "execution ")
		if !strings.HasPrefix(w, "clock skew") || !async {
			bad("Jaeger warns: %s", w)
		}
	}
	return errs
}

// slack is how far two readings of one clock may differ: histories are written
// in whole milliseconds.
const slack = 2 * time.Millisecond

// times checks that spans are within the run, begin after their parents, and
// that the parts of a task are within it, one after another.
func (c *checker) times(call *called) (errs []error) {
	byID := map[string]*span{}
	for _, s := range call.trace.Spans {
		byID[s.SpanID] = s
	}
	last := map[string]*span{} // by parent
	for _, s := range call.trace.Spans {
		if s.start().Before(c.from) || s.end().After(c.to) {
			errs = append(errs, fmt.Errorf("%s is from %s to %s, outside of the run", s.OperationName, s.start(), s.end()))
		}
		p := byID[s.parent()]
		if p == nil {
			continue
		}
		if s.start().Before(p.start().Add(-slack)) {
			errs = append(errs, fmt.Errorf("%s begins %s before its parent %s", s.OperationName, p.start().Sub(s.start()), p.OperationName))
		}
		if p.OperationName != "process tasks" {
			continue
		}
		if s.end().After(p.end().Add(slack)) {
			errs = append(errs, fmt.Errorf("%s ends %s after the task that it is part of", s.OperationName, s.end().Sub(p.end())))
		}
		if before := last[s.parent()]; before != nil && s.start().Before(before.end().Add(-slack)) {
			errs = append(errs, fmt.Errorf("%s begins before %s has ended", s.OperationName, before.OperationName))
		}
		last[s.parent()] = s
	}
	return append(errs, attempts(call)...)
}

// attempts checks each attempt's number, status and time, and what the task says
// of them.
func attempts(call *called) (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var task *span
	var posts []*span
	for _, s := range call.trace.Spans {
		switch s.OperationName {
		case "process tasks":
			task, posts = s, nil // of the last delivery
		case "POST":
			posts = append(posts, s)
		}
	}
	if task == nil {
		return nil
	}
	if got := text(len(posts)); task.Tags.get("callfleet.attempts") != got || len(posts) != call.kind.attempts {
		bad("%s attempts, the task says %q, want %d", got, task.Tags.get("callfleet.attempts"), call.kind.attempts)
	}
	if got, want := task.Tags.get("callfleet.status_code"), text(call.kind.code); call.kind.failed() == "" && got != want {
		bad("the task has callfleet.status_code=%q, want %s", got, want)
	}
	for i, p := range posts {
		if got := p.Tags.get("http.request.resend_count"); got != text(i) {
			bad("attempt %d has http.request.resend_count=%q, want %q", i+1, got, text(i))
		}
		last := i == len(posts)-1
		if got := p.Tags.get("http.response.status_code"); last && got != text(call.kind.code) {
			bad("the last attempt has http.response.status_code=%q, want %q", got, text(call.kind.code))
		}
		if timeout := time.Duration(call.kind.timeout()) * time.Second; p.took() > timeout+2*time.Second ||
			p.Tags.get("error.type") == timedOut && p.took() < timeout {
			bad("attempt %d took %s, the timeout is %s", i+1, p.took(), timeout)
		}
		if i > 0 && strings.HasSuffix(call.kind.name, "flaky") && p.start().Sub(posts[i-1].end()) < time.Second {
			bad("attempt %d begins %s after the one before, the API asked for 1s", i+1, p.start().Sub(posts[i-1].end()))
		}
	}
	return errs
}

// text is a number as a tag has it: none is "".
func text(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
