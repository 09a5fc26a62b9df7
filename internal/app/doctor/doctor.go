// Package doctor checks that everything a fleet needs is there and may be used,
// and says what to do where it is not. It changes nothing.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/app/local"
	"callfleet/internal/stepfn"
	"callfleet/internal/template/store"
)

// Level is how bad a finding is.
type Level int

// The levels, from good to bad.
const (
	OK Level = iota
	Warn
	Fail
)

// String is ok, warn or FAIL.
func (l Level) String() string { return [...]string{"ok", "warn", "FAIL"}[l] }

// Finding is one line of the report.
type Finding struct {
	Level         Level
	Subject, Text string
}

// Options are the settings that the fleet runs with.
type Options struct {
	Heartbeat, Lease, TaskTimeout time.Duration
	// StartRate and ReportRate are requests per second; nil is what the account
	// may do by default, 0 is no limit.
	StartRate, ReportRate *float64
	// Report takes each finding as it is made.
	Report func(Finding)
}

// Run makes the checks, one after the other, and reports each. It returns how
// bad the worst is.
func Run(ctx context.Context, b *backend.Backend, o Options) Level {
	e := &exam{b: b, options: o}
	for _, check := range []func(context.Context){e.account, e.queues, e.templates, e.blobs, e.machine, e.batches, e.quotas} {
		if ctx.Err() != nil {
			e.fail("doctor", "interrupted before all was checked")
			break
		}
		check(ctx)
	}
	return e.worst
}

// exam is one run of the checks.
type exam struct {
	b       *backend.Backend
	options Options
	worst   Level
}

func (e *exam) add(l Level, subject, format string, args ...any) {
	e.worst = max(e.worst, l)
	e.options.Report(Finding{l, subject, fmt.Sprintf(format, args...)})
}

func (e *exam) ok(subject, format string, args ...any)   { e.add(OK, subject, format, args...) }
func (e *exam) warn(subject, format string, args ...any) { e.add(Warn, subject, format, args...) }
func (e *exam) fail(subject, format string, args ...any) { e.add(Fail, subject, format, args...) }

// templates reads the store, wherever it is.
func (e *exam) templates(ctx context.Context) {
	if table := e.b.Table(); table != nil {
		if err := table.Check(ctx); err != nil {
			e.fail("table", "%v", err)
			return
		}
	}
	const enough = 1000
	items, err := e.b.Templates.List(ctx, store.Key{}, enough)
	switch {
	case err != nil:
		e.fail("templates", "%v", err)
	case len(items) == 0:
		e.warn("templates", "there is none: put one with \"producer template put FILE\"")
	case len(items) == enough:
		e.ok("templates", "%d or more, may be read", enough)
	default:
		e.ok("templates", "%d, may be read", len(items))
	}
}

// blobs looks for a place for large bodies.
func (e *exam) blobs(ctx context.Context) {
	bucket := e.b.Bucket()
	switch {
	case e.b.Blobs == nil:
		e.ok("large bodies", "have no place: an answer or params above 200 KiB fail, unless CALLFLEET_BLOBS names one, such as s3://bucket")
	case bucket == nil:
		e.ok("large bodies", "have a place")
	default:
		if err := bucket.Check(ctx); err != nil {
			e.fail("large bodies", "%v", err)
			return
		}
		kept, err := bucket.CheckExpiry(ctx)
		if err != nil {
			e.warn("large bodies", "%v", err)
			return
		}
		e.ok("large bodies", "the bucket is there, and keeps them %d days", kept/(24*time.Hour))
	}
}

// machine looks at the state machine and at the clocks in its definition.
func (e *exam) machine(ctx context.Context) {
	if e.b.Executions == nil {
		e.warn("state machine", "no Step Functions API is configured (CALLFLEET_STEPFUNCTIONS): only \"run --direct\" works")
		return
	}
	m, err := e.b.Executions.Check(ctx)
	if err != nil {
		e.fail("state machine", "%v", err)
		return
	}
	switch {
	case m.Type != "STANDARD":
		e.fail("state machine", "%s is %s: only a STANDARD one waits for task tokens", m.ARN, m.Type)
	case m.Status != "ACTIVE":
		e.fail("state machine", "%s is %s", m.ARN, m.Status)
	default:
		e.ok("state machine", "%s is %s and %s", m.ARN, m.Type, m.Status)
	}
	e.definition([]byte(m.Definition), e.clocks)
	e.probe("start executions", "states:StartExecution", e.b.Executions.ProbeStart(ctx))
	e.probe("report tasks", "states:SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat", e.b.Executions.ProbeReport(ctx))
}

// batches looks at what "run --batch" needs.
func (e *exam) batches(ctx context.Context) {
	if e.b.Batches == nil {
		return
	}
	m, err := e.b.Batches.Check(ctx)
	switch {
	case errors.Is(err, stepfn.ErrNotFound):
		e.warn("batches", "there is no state machine %s: \"run --batch\" waits until \"producer setup\" has made it", e.b.Batches.Machine())
		return
	case err != nil:
		e.fail("batches", "%v", err)
		return
	case e.b.Blobs == nil:
		e.ok("batches", "%s is %s; \"run --batch\" needs CALLFLEET_BLOBS too", m.ARN, m.Status)
	default:
		e.ok("batches", "%s is %s", m.ARN, m.Status)
	}
	e.definition([]byte(m.Definition), e.batchClocks)
}

// probe reports what came of trying out a permission.
func (e *exam) probe(what, action string, err error) {
	switch {
	case err == nil:
		e.ok("permission", "these credentials may %s", what)
	case errors.Is(err, stepfn.ErrDenied):
		e.warn("permission", "these credentials may not %s: whoever does it needs %s", what, action)
	default:
		e.fail("permission", "%v", err)
	}
}

// waiting is a state that waits for a worker.
type waiting struct {
	Resource                         string
	HeartbeatSeconds, TimeoutSeconds float64
	TimeoutSecondsPath               string
}

// definition lints a definition, and holds the clocks of the states that wait for
// workers against the workers' own.
func (e *exam) definition(text []byte, clocks func(state string, s waiting)) {
	findings, _ := local.Lint(text)
	for _, f := range findings {
		e.warn("definition", "%s", f)
	}
	var d struct{ States map[string]waiting }
	if err := json.Unmarshal(text, &d); err != nil {
		e.fail("definition", "cannot be read: %v", err)
		return
	}
	waits := 0
	for name, s := range d.States {
		if strings.HasSuffix(s.Resource, ".waitForTaskToken") {
			waits++
			clocks(name, s)
		}
	}
	if waits == 0 {
		e.warn("clocks", "no state waits for a task token: workers get nothing to do from this state machine")
	}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// clocks are in order when heartbeat < lease < timeout.
func (e *exam) clocks(state string, s waiting) {
	o, heartbeat, timeout := e.options, seconds(s.HeartbeatSeconds), seconds(s.TimeoutSeconds)
	switch {
	case heartbeat == 0 || timeout == 0:
		e.fail("clocks", "state %s has no HeartbeatSeconds or no TimeoutSeconds: without them a lost worker is noticed after a year", state)
	case heartbeat != o.Heartbeat:
		e.fail("clocks", "state %s has HeartbeatSeconds %s, the workers take it for %s: set CALLFLEET_HEARTBEAT_TIMEOUT", state, heartbeat, o.Heartbeat)
	case timeout != o.TaskTimeout:
		e.fail("clocks", "state %s has TimeoutSeconds %s, the workers take it for %s: set CALLFLEET_TASK_TIMEOUT", state, timeout, o.TaskTimeout)
	default:
		e.ok("clocks", "state %s: heartbeat %s < lease %s < task timeout %s", state, heartbeat, o.Lease, timeout)
	}
}

// batchClocks are in order when lease < heartbeat, so that a lost worker is
// noticed by the queue, which hands the batch to another with the same token.
// How long a batch may take is in its request: by its number of calls.
func (e *exam) batchClocks(state string, s waiting) {
	heartbeat := seconds(s.HeartbeatSeconds)
	switch {
	case heartbeat == 0 || s.TimeoutSecondsPath == "":
		e.fail("clocks", "state %s has no HeartbeatSeconds or no TimeoutSecondsPath: make the state machine anew with \"producer setup\" or deploy/cdk", state)
	case heartbeat <= e.options.Lease:
		e.fail("clocks", "state %s has HeartbeatSeconds %s, which must be longer than the lease of %s: a batch of a lost worker would fail before another takes it over", state, heartbeat, e.options.Lease)
	default:
		e.ok("clocks", "state %s: lease %s < heartbeat %s, task timeout by the batch's size", state, e.options.Lease, heartbeat)
	}
}
