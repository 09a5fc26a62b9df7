package main

import (
	"fmt"
	"strings"
)

// secret is in the params of every call, and so in the query, a header and the
// body of its requests. No span may hold it.
const secret = "s3cr3t-4711"

// kind is one way that a call can go. Its name is that of its template.
type kind struct {
	name   string
	direct bool
	calls  int

	noSecret bool // the params lack what the template needs
	absent   bool // there is no such template

	status   string // of the result
	failure  string // its error
	code     int    // its status code, of the last answer
	attempts int
	tree     string
}

// The names of failures, as results and spans have them.
const (
	timedOut     = "Callfleet.Timeout"
	renderFailed = "Callfleet.RenderFailed"
	noTemplate   = "Callfleet.TemplateNotFound"
	notFound     = "Callfleet.StatusCode.404"
)

// held is the kind whose worker is stopped in the middle.
const held = "held"

// place is where a pass has its queues, templates and executions.
type place struct {
	name       string
	system     string // messaging.system of the spans
	aws        bool   // queues on SQS, templates in DynamoDB
	remote     bool   // executions on another's Step Functions, which makes no spans
	share      int    // of the calls, in percent
	searchable bool   // whether the searches of the document are tried
}

// kinds are, at 100 percent, 100 calls through executions, 20 without, and one
// that changes its worker. Of each kind there is one at least.
func kinds(at place) []*kind {
	through := workflow
	if at.remote {
		through = unseen
	}
	list := []*kind{
		{name: "ok", calls: 55, status: "SUCCEEDED", code: 200, attempts: 1, tree: through("", process("", post()))},
		{name: "not-found", calls: 10, status: "FAILED", failure: notFound, code: 404, attempts: 1,
			tree: through(notFound, process("", post("404")))},
		{name: "flaky", calls: 15, status: "SUCCEEDED", code: 200, attempts: 2, tree: through("", process("", post("500", "")))},
		{name: "slow", calls: 8, status: "FAILED", failure: timedOut, attempts: 2,
			tree: through(timedOut, process(timedOut, post(timedOut, timedOut)))},
		{name: "broken", calls: 6, noSecret: true, status: "FAILED", failure: renderFailed,
			tree: through(renderFailed, process(renderFailed, ""))},
		{name: "nowhere", calls: 6, absent: true, status: "FAILED", failure: noTemplate, tree: through(noTemplate, "")},

		{name: "direct-ok", direct: true, calls: 10, status: "SUCCEEDED", code: 200, attempts: 1, tree: straight("", post())},
		{name: "direct-flaky", direct: true, calls: 4, status: "SUCCEEDED", code: 200, attempts: 2, tree: straight("", post("500", ""))},
		{name: "direct-not-found", direct: true, calls: 3, status: "FAILED", failure: notFound, code: 404, attempts: 1, tree: straight("", post("404"))},
		{name: "direct-slow", direct: true, calls: 2, status: "FAILED", failure: timedOut, attempts: 2,
			tree: straight(timedOut, post(timedOut, timedOut))},
		{name: "direct-broken", direct: true, calls: 1, noSecret: true, status: "FAILED", failure: renderFailed,
			tree: straight(renderFailed, "")},
	}
	for _, k := range list {
		k.calls = max(k.calls*at.share/100, 1)
	}
	if at.remote {
		// The emulator gives what a stopped worker would have received to nobody
		// else until the lease ends, the event that a call has ended as well.
		return list
	}
	return append(list, &kind{name: held, calls: 1, status: "SUCCEEDED", code: 200, attempts: 1, tree: through("", moved)})
}

// The trees of docs/tracing.md are drawn like these.

// workflow is the tree of a call through an execution; task is what is under
// the hand-off, "" when there was none.
func workflow(failure, task string) string {
	const begin = `producer       producer  send requests
worker         consumer    process requests
stepfunctions  server        StepFunctions/StartExecution
stepfunctions  internal        execution call-api`
	const fetch = `stepfunctions  client            DynamoDB/GetItem
`
	if task == "" {
		return begin + failed(failure) + fetch
	}
	return begin + failed(failure) + fetch + `stepfunctions  producer          send tasks
` + task
}

// process is the tree of a task that a worker did.
func process(failure, posts string) string {
	operation, render := "SendTaskSuccess", ""
	if failure != "" {
		operation = "SendTaskFailure"
	}
	if failure == renderFailed {
		render = failure
	}
	return `worker         consumer            process tasks` + failed(failure) +
		`worker         internal              render` + failed(render) + posts +
		`worker         client                report
stepfunctions  server                  StepFunctions/` + operation + "\n"
}

// moved is the tree of a task whose first worker was stopped: it came again to
// another, which asked with a heartbeat whether anybody still waits for it.
const moved = `worker         consumer            process tasks
worker         internal              render
worker         client                POST  error interrupted
worker         consumer            process tasks
stepfunctions  server                StepFunctions/SendTaskHeartbeat
worker         internal              render
worker         client                POST
worker         client                report
stepfunctions  server                  StepFunctions/SendTaskSuccess
`

// post is one line per attempt, with its error.
func post(errors ...string) string {
	if len(errors) == 0 {
		errors = []string{""}
	}
	var b strings.Builder
	for _, e := range errors {
		b.WriteString(`worker         client                POST` + failed(e))
	}
	return b.String()
}

// straight is the tree of a call without an execution.
func straight(failure, posts string) string {
	return "producer       producer  send tasks\n" + ownSpans(process(failure, posts))
}

// unseen is the tree of a call through an execution that makes no spans.
func unseen(_, task string) string {
	return "producer       producer  send requests\nworker         consumer    process requests\n" + ownSpans(task)
}

// ownSpans are the worker's spans of a task, as far to the left as those of a
// task that the producer sent.
func ownSpans(task string) string {
	const names, shift = 25, 8 // where names begin, and by how much less they are indented
	var b strings.Builder
	for line := range strings.Lines(task) {
		if strings.HasPrefix(line, "worker ") {
			b.WriteString(line[:names] + line[names+shift:])
		}
	}
	return b.String()
}

func failed(failure string) string {
	if failure == "" {
		return "\n"
	}
	return "  error " + failure + "\n"
}

// template is the kind's template, with the secret in every place of a request.
func (k *kind) template(api string) string {

	return fmt.Sprintf(`{"name":%q,"method":"POST","url":"http://%s/%s/{{ item }}?key={{ secret }}",
"headers":{"Authorization":"Bearer {{ secret }}"},"payload":{"secret":"{{ secret }}"},
"timeoutSeconds":%d,"retry":{"maxAttempts":2}}`, k.name, api, k.way(), k.timeout())
}

// timeout is that of one attempt, in seconds.
func (k *kind) timeout() int {
	if strings.HasSuffix(k.name, "slow") {
		return 1
	}
	return 20
}

// line is a line of a call file.
func (k *kind) line(item int) string {
	params := fmt.Sprintf(`{"item":%d,"secret":%q}`, item, secret)
	if k.noSecret {
		params = fmt.Sprintf(`{"item":%d}`, item)
	}
	return fmt.Sprintf(`{"templateName":%q,"method":"POST","params":%s}`, k.name, params) + "\n"
}

// way is the first segment of the path that is called.
func (k *kind) way() string { return strings.TrimPrefix(k.name, "direct-") }

// failed is the name of the failure that ended the task, "" when the API
// answered.
func (k *kind) failed() string {
	if k.failure == notFound {
		return ""
	}
	return k.failure
}
