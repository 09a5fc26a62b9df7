package localsfn_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

func TestTokensSurviveARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	arn := r.begin(t, machine, "r-1", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	waitFor(t, func() bool { return strings.HasSuffix(r.events(t, arn), "TaskSubmitted") })
	r.restart(t)
	r.tasks.none(t) // it was submitted: nothing is sent again
	if n := r.tasks.offered(); n != 1 {
		t.Errorf("the task was offered %d times, want once", n)
	}
	r.succeed(t, token, `{"statusCode":200}`)
	r.ended(t, arn, types.ExecutionStatusSucceeded)
}

func TestTimersSurviveARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wait := r.create(t, "wait", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":2,"End":true}}}`)
	begun := time.Now()
	arn := r.begin(t, wait, "w", `{}`)
	retry := r.create(t, "retry", strings.Replace(callWorkflow, `"ResultPath":"$.api"`, `"ResultPath":"$.api","Retry":[{"ErrorEquals":["Again"],"IntervalSeconds":3,"MaxAttempts":1}]`, 1))
	again := r.begin(t, retry, "r", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	if _, err := r.client.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: &token, Error: ptr("Again")}); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	r.ended(t, arn, types.ExecutionStatusSucceeded)
	if d := time.Since(begun); d < 2*time.Second-time.Millisecond { // the log has milliseconds
		t.Errorf("waited %v, want 2 s", d)
	}
	second := tokenOf(t, r.tasks.receive(t))
	if second == token {
		t.Error("the retry has the token of the first attempt")
	}
	r.succeed(t, second, `{"statusCode":200}`)
	r.ended(t, again, types.ExecutionStatusSucceeded)
}

func TestHeartbeatClocksStartAnewAfterARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	arn := r.begin(t, r.create(t, "beat", strings.Replace(callWorkflow, `"HeartbeatSeconds":60`, `"HeartbeatSeconds":2`, 1)), "h", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	waitFor(t, func() bool { return strings.HasSuffix(r.events(t, arn), "TaskSubmitted") })
	r.stop()
	<-time.After(2100 * time.Millisecond) // longer than the heartbeat: nobody could beat
	r.start(t)
	<-r.server.Ready()
	if _, err := r.client.SendTaskHeartbeat(t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: &token}); err != nil {
		t.Fatalf("first beat after the restart: %v", err)
	}
	r.succeed(t, token, `{"statusCode":200}`)
	r.ended(t, arn, types.ExecutionStatusSucceeded)
}

// The process dies between append and act: the task is in the log, the message
// never left.
func TestDeathBetweenAppendAndAct(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	r.tasks.set(errors.New("broker is away"), nil)
	arn := r.begin(t, machine, "r-1", callInput)
	waitFor(t, func() bool { return r.tasks.offered() > 0 })
	r.stop()
	r.tasks.set(nil, nil)
	r.start(t)
	r.succeed(t, tokenOf(t, r.tasks.receive(t)), `{"statusCode":200}`)
	r.ended(t, arn, types.ExecutionStatusSucceeded)
}

// The process dies between act and append: the message left, the log does not
// know. It is sent again under the same id, which the queue drops.
func TestDeathBetweenActAndAppend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	r.tasks.set(nil, errors.New("receipt got lost"))
	arn := r.begin(t, machine, "r-1", callInput)
	task := r.tasks.receive(t)
	r.stop()
	before := r.tasks.offered()
	r.tasks.set(nil, nil)
	r.start(t)
	waitFor(t, func() bool { return r.tasks.offered() > before })
	r.tasks.none(t)
	r.succeed(t, tokenOf(t, task), `{"statusCode":200}`)
	r.ended(t, arn, types.ExecutionStatusSucceeded)
}

// The process dies between the last append and the publishing of the end.
func TestEndsAreReportedAfterARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "pass", passChain(1))
	r.results.set(errors.New("feed is away"), nil)
	arn := r.begin(t, machine, "p", `{"a":1}`)
	waitFor(t, func() bool { return r.results.offered() > 0 })
	r.stop()
	r.results.none(t)
	r.results.set(nil, nil)
	r.start(t)
	if e := r.ended(t, arn, types.ExecutionStatusSucceeded); e.Detail.Input != `{"a":1}` || *e.Detail.Output != `{"a":1}` {
		t.Errorf("event %+v", e.Detail)
	}
	<-r.server.Ready()
	offered := r.results.offered()
	r.restart(t)
	r.ended(t, r.begin(t, machine, "q", `{}`), types.ExecutionStatusSucceeded)
	if n := r.results.offered() - offered; n > 2 {
		t.Errorf("%d events were published after the second restart, want 1 or, again, the first", n)
	}
}

// Two servers on one log: each answers for executions of the other, and a task
// is settled once.
func TestTwoServersOnOneLog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	other := &fixture{broker: r.broker, o: r.o}
	other.start(t)
	t.Cleanup(other.stop)
	arn := r.begin(t, machine, "r-1", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	waitFor(t, func() bool { return strings.HasSuffix(r.events(t, arn), "TaskSubmitted") })
	other.succeed(t, token, `{"statusCode":200}`)
	var gone *types.TaskTimedOut
	if _, err := r.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: ptr("{}")}); !errors.As(err, &gone) {
		t.Errorf("second answer, by the server that is behind: %v, want TaskTimedOut", err)
	}
	if got, want := r.events(t, arn), other.events(t, arn); got != want || !strings.HasSuffix(got, "ExecutionSucceeded") {
		t.Errorf("histories differ or are not at their end:\n%s\n%s", got, want)
	}
	r.ended(t, arn, types.ExecutionStatusSucceeded)
	var taken *types.ExecutionAlreadyExists
	if _, err := other.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &machine, Name: ptr("r-1"), Input: ptr(`{}`)}); !errors.As(err, &taken) {
		t.Errorf("same name at the other server: %v", err)
	}
}

// waitFor looks until a condition holds.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it does not come about")
		}
	}
}

// A decision that cannot be appended is not acted on, the caller is told, and
// the execution goes on when the log is back.
func TestNothingHappensWithoutTheLog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	arn := r.begin(t, machine, "r-1", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	waitFor(t, func() bool { return strings.HasSuffix(r.events(t, arn), "TaskSubmitted") })
	storage := r.broker.JetStreamConfig()
	storage.StoreDir = filepath.Dir(storage.StoreDir) // the broker adds its own folder
	if err := r.broker.DisableJetStream(); err != nil {
		t.Fatal(err)
	}
	var server interface{ HTTPStatusCode() int }
	_, err := r.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: ptr(`{"statusCode":200}`)})
	if !errors.As(err, &server) || server.HTTPStatusCode() < 500 {
		t.Errorf("answer without a log: %v, want a server error", err)
	}
	_, err = r.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &machine, Name: ptr("r-2"), Input: ptr(callInput)})
	if !errors.As(err, &server) || server.HTTPStatusCode() < 500 {
		t.Errorf("start without a log: %v, want a server error", err)
	}
	r.tasks.none(t)
	r.results.none(t)
	if err := r.broker.EnableJetStream(storage); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		_, err := r.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: ptr(`{"statusCode":200}`)})
		return err == nil
	})
	r.ended(t, arn, types.ExecutionStatusSucceeded)
	second := r.begin(t, machine, "r-2", callInput)
	r.succeed(t, tokenOf(t, r.tasks.receive(t)), `{"statusCode":200}`)
	r.ended(t, second, types.ExecutionStatusSucceeded)
}

// Many callers start the same executions at two servers: each begins once.
func TestStartsOfOneNameRace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	other := &fixture{broker: r.broker, o: r.o}
	other.start(t)
	t.Cleanup(other.stop)
	const names, callers = 5, 4
	var all sync.WaitGroup
	for i := range names {
		for j := range callers {
			all.Go(func() {
				f := r.fixture
				if j%2 == 1 {
					f = other
				}
				in := &sfn.StartExecutionInput{StateMachineArn: &machine, Name: ptr(fmt.Sprint("r-", i)), Input: ptr(callInput)}
				if _, err := f.client.StartExecution(t.Context(), in); err != nil {
					t.Errorf("start %d by caller %d: %v", i, j, err)
				}
			})
		}
	}
	all.Wait()
	for range names {
		r.succeed(t, tokenOf(t, r.tasks.receive(t)), `{"statusCode":200}`)
	}
	seen := map[string]bool{}
	for range names {
		seen[r.results.receive(t).ID] = true
	}
	r.tasks.none(t)
	r.results.none(t)
	if len(seen) != names {
		t.Errorf("%d executions ended, want %d", len(seen), names)
	}
}
