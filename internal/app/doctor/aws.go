package doctor

import (
	"context"
	"errors"
	"strings"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
	"callfleet/internal/stepfn"
)

// maxSkew is the difference of clocks from which AWS refuses signatures.
const maxSkew = 5 * time.Minute

// account says whose credentials these are, and compares clocks.
func (e *exam) account(ctx context.Context) {
	if !e.b.OnAWS() {
		return
	}
	who, err := e.b.Identity(ctx)
	if err != nil {
		e.fail("account", "%v", err)
		return
	}
	e.ok("account", "%s in %s, as %s", who.Account, who.Region, who.ARN)
	switch skew := who.Skew.Abs().Round(time.Second); {
	case skew >= maxSkew:
		e.fail("clock", "%s off AWS's, which refuses signatures from %s on: set this machine's clock", skew, maxSkew)
	case skew >= maxSkew/5:
		e.warn("clock", "%s off AWS's, which refuses signatures from %s on: set this machine's clock", skew, maxSkew)
	default:
		e.ok("clock", "%s off AWS's", skew)
	}
}

// queues looks at the fleet's queues and what lies on their dead-letter queues.
func (e *exam) queues(ctx context.Context) {
	broker := e.b.SQS()
	if broker == nil {
		e.natsQueues(ctx)
		return
	}
	for _, name := range []string{backend.Requests, backend.Tasks, backend.Results} {
		q, err := broker.Describe(ctx, name)
		if err != nil {
			e.fail("queue", "%v", err)
			continue
		}
		e.ok("queue", "%s: %d waiting, %d in flight, %d delayed", q.Name, q.Visible, q.InFlight, q.Delayed)
		e.deadLetters(ctx, broker, name, q)
	}
	e.sends(ctx, broker, backend.Requests)
	e.leftovers(ctx, broker)
}

func (e *exam) deadLetters(ctx context.Context, broker *sqsqueue.Broker, name string, q sqsqueue.Info) {
	if q.DeadLetters == "" {
		e.fail("dead letters", "%s has no redrive policy: a message that no worker can read comes for ever", q.Name)
		return
	}
	dead, err := broker.Describe(ctx, name+sqsqueue.DeadLetterSuffix)
	switch {
	case errors.Is(err, queue.ErrNotFound) && !strings.HasSuffix(q.DeadLetters, q.Name+sqsqueue.DeadLetterSuffix):
		e.ok("dead letters", "%s sends them to %s after %d receipts", q.Name, q.DeadLetters, q.MaxReceives)
	case err != nil:
		e.fail("dead letters", "%v", err)
	case dead.Backlog() > 0:
		e.warn("dead letters", "%s holds %d: each says why in its attribute %s; send them back with \"aws sqs start-message-move-task --source-arn %s\"",
			dead.Name, dead.Backlog(), queue.DeadLetterReason, dead.ARN)
	default:
		e.ok("dead letters", "%s is empty; %s sends there after %d receipts", dead.Name, q.Name, q.MaxReceives)
	}
}

// sends tries out whether these credentials may publish calls.
func (e *exam) sends(ctx context.Context, broker *sqsqueue.Broker, name string) {
	switch err := broker.ProbeSend(ctx, name); {
	case err == nil:
		e.ok("permission", "these credentials may publish calls")
	case errors.Is(err, sqsqueue.ErrDenied):
		e.warn("permission", "these credentials may not publish calls: whoever does it needs sqs:SendMessage on the %s queue", name)
	default:
		e.fail("permission", "%v", err)
	}
}

// manyRuns is how many runs leave a queue behind before it is worth a word.
const manyRuns = 20

// leftovers are queues of runs that were never completed.
func (e *exam) leftovers(ctx context.Context, broker *sqsqueue.Broker) {
	runs, err := broker.Leftovers(ctx, backend.Results)
	switch {
	case err != nil:
		e.warn("runs", "queues of open runs could not be listed: %v", err)
	case len(runs) > manyRuns:
		e.warn("runs", "%d queues of runs that were not completed, such as %s: complete them with \"producer run --resume\", or delete the queues", len(runs), runs[0])
	default:
		e.ok("runs", "%d with a queue of their own: under way, or not completed", len(runs))
	}
}

// natsQueues counts what waits on a broker that makes its queues on use.
func (e *exam) natsQueues(ctx context.Context) {
	for _, name := range []string{backend.Requests, backend.Tasks, backend.Waiting} {
		c, err := e.b.Consumer(ctx, name)
		if err != nil {
			e.fail("queue", "%s: %v", name, err)
			continue
		}
		n, err := c.Depth(ctx)
		if cerr := c.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			e.fail("queue", "%s: %v", name, err)
			continue
		}
		e.ok("queue", "%s: %d waiting", name, n)
	}
}

// quotas holds the configured paces against what an account may do by default.
func (e *exam) quotas(context.Context) {
	if !e.b.StepFunctionsOnAWS() {
		return
	}
	region := e.b.Region()
	q := stepfn.QuotasOf(region)
	e.pace("StartExecution", "CALLFLEET_START_RATE", e.options.StartRate, q.StartExecution)
	e.pace("SendTaskSuccess, SendTaskFailure, SendTaskHeartbeat, each", "CALLFLEET_REPORT_RATE", e.options.ReportRate, q.SendTask)
}

func (e *exam) pace(what, setting string, configured *float64, quota float64) {
	const note = "for the account in this region, unless it was raised (Service Quotas tells)"
	switch {
	case configured == nil:
		e.ok("quota", "%s: paced at %v/s, the default quota %s", what, quota, note)
	case *configured == 0:
		e.warn("quota", "%s: not paced, and the default quota is %v/s %s: set %s", what, quota, note, setting)
	case *configured > quota:
		e.warn("quota", "%s: paced at %v/s, and the default quota is %v/s %s: above it requests are throttled and slow down", what, *configured, quota, note)
	default:
		e.ok("quota", "%s: paced at %v/s of the default quota of %v/s %s", what, *configured, quota, note)
	}
}
