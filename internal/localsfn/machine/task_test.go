package machine

import (
	"strings"
	"testing"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
	"callfleet/internal/localsfn/machine/token"
)

const (
	lambdaARN   = `"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f"`
	lambdaTask  = `"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"`
	callback    = `"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "Parameters": {"t.$": "$$.Task.Token"}`
	activityARN = `"Type": "Task", "Resource": "arn:aws:states:us-east-1:123456789012:activity:a"`
)

// TestTaskEvents: each way to call a service has events of its own.
func TestTaskEvents(t *testing.T) {
	t.Parallel()
	t.Run("function ARN", func(t *testing.T) {
		t.Parallel()
		s := begin(t, lone(`{`+lambdaARN+`, "End": true}`), `{}`)
		c := s.command()
		if c.Resource.Integration != asl.LambdaARN || c.State != "S" || c.Token != "" || c.Region != "us-east-1" || !c.ScheduledAt.Equal(epoch) || !c.Deadline.IsZero() {
			t.Errorf("command %+v", c)
		}
		s.succeed(`1`)
		s.wantTypes(2, history.LambdaFunctionScheduled, history.LambdaFunctionStarted, history.LambdaFunctionSucceeded, history.TaskStateExited, history.ExecutionSucceeded)
		s.wantOutput(`1`)
	})
	t.Run("integration", func(t *testing.T) {
		t.Parallel()
		s := begin(t, lone(`{`+lambdaTask+`, "Parameters": {"FunctionName": "f", "Payload.$": "$.p"}, "End": true}`), `{"p": [1]}`)
		if got := string(s.command().Parameters.JSON()); got != `{"FunctionName":"f","Payload":[1]}` {
			t.Errorf("parameters %s", got)
		}
		s.failTask("E", "C")
		s.wantTypes(2, history.TaskScheduled, history.TaskStarted, history.TaskFailed, history.ExecutionFailed)
		s.wantFailure("E", "C")
	})
	t.Run("callback", func(t *testing.T) {
		t.Parallel()
		s := begin(t, lone(`{`+callback+`, "End": true}`), `{}`)
		c := s.command()
		if got := c.Parameters.Get("t").Text(); c.Token == "" || got != c.Token {
			t.Errorf("token %q, in the parameters %q", c.Token, got)
		}
		s.decide(TaskSubmitted{Task: c.Task, Output: expr.Raw([]byte(`{"MessageId":"m"}`))})
		if c = s.command(); !c.Submitted || string(c.Submission.JSON()) != `{"MessageId":"m"}` {
			t.Errorf("after submitting: %+v", c)
		}
		s.succeed(`"done"`)
		s.wantTypes(2, history.TaskScheduled, history.TaskStarted, history.TaskSubmitted, history.TaskSucceeded, history.TaskStateExited, history.ExecutionSucceeded)
	})
	t.Run("activity", func(t *testing.T) {
		t.Parallel()
		s := begin(t, lone(`{`+activityARN+`, "End": true}`), `{}`)
		c := s.command()
		if c.Token == "" {
			t.Error("no token")
		}
		s.decide(TaskStarted{Task: c.Task, Worker: "w"})
		s.decide(TaskStarted{Task: c.Task, Worker: "other"})
		s.decide(TaskFailed{Task: c.Task})
		s.wantTypes(2, history.ActivityScheduled, history.ActivityStarted, history.ActivityFailed, history.ExecutionFailed)
		s.wantFailure("<none>", "<none>")
	})
}

// TestTaskResult: ResultSelector, ResultPath and OutputPath, in that order.
func TestTaskResult(t *testing.T) {
	t.Parallel()
	s := begin(t, lone(`{`+lambdaTask+`, "ResultSelector": {"code.$": "$.statusCode"}, "ResultPath": "$.r", "OutputPath": "$.r", "Assign": {"c.$": "$.code"}, "End": true}`), `{"a": 1}`)
	s.succeed(`{"statusCode": 200, "body": ""}`)
	s.wantOutput(`{"code":200}`)
	if h := s.history(); !strings.Contains(h, `"assignedVariables":{"c":"200"}`) {
		t.Errorf("no assigned variable in\n%s", h)
	}
}

// TestTaskTimeout: TimeoutSeconds and HeartbeatSeconds, by value and by path.
func TestTaskTimeout(t *testing.T) {
	t.Parallel()
	for name, bounds := range map[string]string{"literal": `"TimeoutSeconds": 600, "HeartbeatSeconds": 60`, "path": `"TimeoutSecondsPath": "$.t", "HeartbeatSecondsPath": "$.h"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, lone(`{`+callback+`, `+bounds+`, "End": true}`), `{"t": 600, "h": 60}`)
			c := s.command()
			if c.HeartbeatSeconds != 60 || !c.Deadline.Equal(epoch.Add(10*time.Minute)) {
				t.Errorf("command %+v", c)
			}
			for i := range 9 {
				s.now = epoch.Add(time.Duration(i+1) * 59 * time.Second)
				if events := s.decide(Heartbeat{Task: c.Task}); len(events) != 1 || events[0].Type != history.HeartbeatReceived {
					t.Fatalf("heartbeat made %v", events)
				}
			}
			if at, _ := s.x.NextDeadline(); !at.Equal(s.now.Add(time.Minute)) {
				t.Errorf("next deadline %v, want a minute after the last heartbeat", at)
			}
			s.tick()
			s.wantTypes(4, history.TaskTimedOut, history.ExecutionFailed)
			s.wantFailure("States.Timeout", "<none>")
		})
	}
}

// TestHeartbeatNeedsAToken: nobody could send heartbeats for a plain request.
func TestHeartbeatNeedsAToken(t *testing.T) {
	t.Parallel()
	s := begin(t, lone(`{`+lambdaTask+`, "HeartbeatSeconds": 5, "End": true}`), `{}`)
	if at, ok := s.x.NextDeadline(); ok {
		t.Errorf("something is due at %v", at)
	}
	if events := s.decide(Heartbeat{Task: s.command().Task}); len(events) != 0 {
		t.Errorf("a heartbeat made %d events", len(events))
	}
}

func TestTimeoutSecondsPathRefuses(t *testing.T) {
	t.Parallel()
	const prefix = "An error occurred while executing the state 'S' (entered at the event id #2). "
	definition := lone(`{` + callback + `, "TimeoutSecondsPath": "$.t", "End": true}`)
	begin(t, definition, `{"t": "x"}`).wantFailure("States.Runtime", prefix+`The TimeoutSecondsPath field refers to value "x" which is not a valid integer: $.t`)
	begin(t, definition, `{}`).wantFailure("States.Runtime", prefix+"Invalid path '$.t' : No results for path: $['t']")
	begin(t, definition, `{"t": 0}`).wantFailure("States.Runtime", "*")
}

// TestRetry: IntervalSeconds, BackoffRate, MaxDelaySeconds, MaxAttempts.
func TestRetry(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		retry string
		want  []time.Duration
	}{
		"defaults":        {`{"ErrorEquals": ["States.ALL"]}`, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		"backoff":         {`{"ErrorEquals": ["E"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 4}`, []time.Duration{2 * time.Second, 6 * time.Second, 18 * time.Second, 54 * time.Second}},
		"MaxDelaySeconds": {`{"ErrorEquals": ["E"], "IntervalSeconds": 2, "BackoffRate": 3, "MaxAttempts": 4, "MaxDelaySeconds": 10}`, []time.Duration{2 * time.Second, 6 * time.Second, 10 * time.Second, 10 * time.Second}},
		"MaxAttempts 0":   {`{"ErrorEquals": ["E"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}`, nil},
		"other error":     {`{"ErrorEquals": ["F", "States.Timeout"]}`, nil},
		"TaskFailed":      {`{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 1}`, []time.Duration{time.Second}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, lone(`{`+lambdaTask+`, "Retry": [`+c.retry+`], "End": true}`), `{}`)
			for i, want := range c.want {
				failed := s.now
				s.failTask("E", "C")
				if len(s.x.Commands()) != 0 {
					t.Fatal("a failed task is still owed")
				}
				s.tick()
				if got := s.now.Sub(failed); got != want {
					t.Errorf("attempt %d after %v, want %v", i+2, got, want)
				}
				s.command()
			}
			s.failTask("E", "C")
			s.wantFailure("E", "C")
		})
	}
}

// TestRetryCountsPerRetrier: each retrier counts its own attempts.
func TestRetryCountsPerRetrier(t *testing.T) {
	t.Parallel()
	s := begin(t, lone(`{`+lambdaTask+`, "Parameters": {"n.$": "$$.State.RetryCount"}, "Retry": [{"ErrorEquals": ["A"], "MaxAttempts": 2}, {"ErrorEquals": ["B"], "MaxAttempts": 1}], "End": true}`), `{}`)
	for i, name := range []string{"A", "B", "A"} {
		if got, _ := s.command().Parameters.Get("n").Int(); got != int64(i) {
			t.Errorf("retry count %d, want %d", got, i)
		}
		s.failTask(name, "")
		s.tick()
	}
	s.failTask("B", "")
	s.wantFailure("B", "")
}

// TestRetryJitter: JitterStrategy FULL waits between nothing and the interval.
func TestRetryJitter(t *testing.T) {
	t.Parallel()
	s := begin(t, lone(`{`+lambdaTask+`, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 100, "BackoffRate": 1, "MaxAttempts": 50, "JitterStrategy": "FULL"}], "End": true}`), `{}`)
	var short, long int
	for range 50 {
		failed := s.now
		s.failTask("E", "")
		s.tick()
		switch d := s.now.Sub(failed); {
		case d < 0 || d > 100*time.Second:
			t.Fatalf("waited %v", d)
		case d < 50*time.Second:
			short++
		default:
			long++
		}
	}
	if short < 10 || long < 10 {
		t.Errorf("%d short and %d long waits", short, long)
	}
}

// TestCatch: the first catcher that matches decides.
func TestCatch(t *testing.T) {
	t.Parallel()
	definition := func(catch string) string {
		return `{"StartAt": "U", "States": {"U": {"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": true, "Next": "First"}, {"Variable": "$", "IsNull": true, "Next": "Second"}], "Default": "S"},
			"S": {` + callback + `, "TimeoutSeconds": 60, "HeartbeatSeconds": 30, "Next": "T", "Catch": [` + catch + `]}, "T": {"Type": "Succeed"},
			"First": {"Type": "Pass", "ResultPath": "$.first", "Result": 1, "End": true}, "Second": {"Type": "Pass", "ResultPath": "$.second", "Result": 2, "End": true}}}`
	}
	fail := func(name string) func(*sim) { return func(s *sim) { s.failTask(name, "C") } }
	heartbeat := func(s *sim) { s.tick() }
	timeout := func(s *sim) {
		s.now = epoch.Add(29 * time.Second)
		s.decide(Heartbeat{Task: s.command().Task})
		s.now = epoch.Add(58 * time.Second)
		s.decide(Heartbeat{Task: s.command().Task})
		s.tick()
	}
	cases := map[string]struct {
		catch string
		cause func(*sim)
		want  string
	}{
		"by name":                     {`{"ErrorEquals": ["E"], "Next": "First"}, {"ErrorEquals": ["States.ALL"], "Next": "Second"}`, fail("E"), `{"Error":"E","Cause":"C","first":1}`},
		"by States.ALL":               {`{"ErrorEquals": ["E"], "Next": "First"}, {"ErrorEquals": ["States.ALL"], "Next": "Second"}`, fail("F"), `{"Error":"F","Cause":"C","second":2}`},
		"by States.TaskFailed":        {`{"ErrorEquals": ["States.TaskFailed"], "Next": "First"}`, fail("F"), `{"Error":"F","Cause":"C","first":1}`},
		"ResultPath":                  {`{"ErrorEquals": ["E"], "ResultPath": "$.e", "Next": "First"}`, fail("E"), `{"in":1,"e":{"Error":"E","Cause":"C"},"first":1}`},
		"ResultPath null":             {`{"ErrorEquals": ["E"], "ResultPath": null, "Next": "First"}`, fail("E"), `{"in":1,"first":1}`},
		"States.Timeout":              {`{"ErrorEquals": ["States.TaskFailed", "States.HeartbeatTimeout"], "Next": "First"}, {"ErrorEquals": ["States.Timeout"], "Next": "Second"}`, timeout, `{"Error":"States.Timeout","Cause":null,"second":2}`},
		"States.HeartbeatTimeout":     {`{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "First"}`, heartbeat, `{"Error":"States.Timeout","Cause":null,"first":1}`},
		"heartbeat as States.Timeout": {`{"ErrorEquals": ["States.Timeout"], "Next": "First"}`, heartbeat, `{"Error":"States.Timeout","Cause":null,"first":1}`},
		"nameless":                    {`{"ErrorEquals": ["States.ALL"], "Next": "First"}`, func(s *sim) { s.decide(TaskFailed{Task: s.command().Task}) }, `{"Error":null,"Cause":null,"first":1}`},
		"data limit": {`{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "First"}`, func(s *sim) { s.succeed(`"` + strings.Repeat("x", maxData) + `"`) },
			`{"Error":"States.DataLimitExceeded","Cause":"The state/task 'sqs' returned a result with a size exceeding the maximum number of bytes service limit.","first":1}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, definition(c.catch), `{"in": 1}`)
			c.cause(s)
			if got := compacted(string(s.x.Output().JSON())); s.x.Status() != Succeeded || got != compacted(c.want) {
				name, cause := s.x.Failure()
				t.Errorf("%s with %s, failure %s %s; want %s", s.x.Status(), got, show(name), show(cause), c.want)
			}
		})
	}
}

// TestCatchComesAfterRetry: a catcher sees what the retriers gave up on.
func TestCatchComesAfterRetry(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "S", "States": {"S": {`+lambdaARN+`, "Next": "T", "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["E"], "Next": "T"}]}, "T": {"Type": "Succeed"}}}`, `{}`)
	s.failTask("E", "1")
	s.tick()
	s.failTask("E", "2")
	s.wantOutput(`{"Error":"E","Cause":"2"}`)
	s.wantTypes(2, history.LambdaFunctionScheduled, history.LambdaFunctionStarted, history.LambdaFunctionFailed,
		history.LambdaFunctionScheduled, history.LambdaFunctionStarted, history.LambdaFunctionFailed, history.TaskStateExited,
		history.SucceedStateEntered, history.SucceedStateExited, history.ExecutionSucceeded)
}

// TestCatchFailsInItself: a mistake in a catcher is not caught again.
func TestCatchFailsInItself(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "S", "States": {"S": {`+lambdaARN+`, "Next": "T", "Catch": [{"ErrorEquals": ["States.ALL"], "Assign": {"x.$": "States.StringToJson($.Cause)"}, "Next": "T"}]}, "T": {"Type": "Succeed"}}}`, `{}`)
	s.failTask("E", "{")
	s.wantFailure("States.IntrinsicFailure", "*")
}

// TestTokens: a token opens its own task, while it waits, and no other.
func TestTokens(t *testing.T) {
	t.Parallel()
	definition := lone(`{` + callback + `, "Retry": [{"ErrorEquals": ["E"]}], "End": true}`)
	s := begin(t, definition, `{}`)
	c := s.command()
	key, task, err := ParseToken(c.Token)
	if err != nil || key != "run-1" || task != c.Task {
		t.Fatalf("token of %q task %d: %v", key, task, err)
	}
	if task, err := s.x.TaskByToken(c.Token); err != nil || task != c.Task {
		t.Errorf("task %d, %v", task, err)
	}
	if len(c.Token) > token.MaxLength {
		t.Errorf("token of %d bytes", len(c.Token))
	}
	_, _, secret, _ := token.Split(c.Token)
	secret[0]++
	bad := map[string]string{
		"guessed secret": token.Make("run-1", c.Task, secret), "no secret": token.Make("run-1", c.Task, [16]byte{}),
		"other execution": token.Make("run-2", c.Task, secret), "task to come": token.Make("run-1", 1000, secret),
		"empty": "", "not base64": "%%%", "too long": strings.Repeat("A", token.MaxLength+1), "cut": c.Token[:10],
	}
	for name, text := range bad {
		if _, err := s.x.TaskByToken(text); err != ErrInvalidToken {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.failTask("E", "")
	if _, err := s.x.TaskByToken(c.Token); err != ErrTaskGone {
		t.Errorf("token of a failed attempt: %v", err)
	}
	s.tick()
	if second := s.command(); second.Token == c.Token {
		t.Error("the second attempt has the first one's token")
	} else {
		s.succeed(`1`)
		if _, err := s.x.TaskByToken(second.Token); err != ErrTaskGone {
			t.Errorf("token of an ended execution: %v", err)
		}
	}
}

// TestLateAnswersAreHarmless: answers for settled tasks make no events.
func TestLateAnswersAreHarmless(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "A", "States": {"A": {`+lambdaTask+`, "Next": "B"}, "B": {`+lambdaTask+`, "End": true}}}`, `{}`)
	first := s.command().Task
	s.succeed(`1`)
	for _, in := range []Input{TaskSucceeded{Task: first}, TaskFailed{Task: first}, TaskSubmitted{Task: first}, TaskStarted{Task: first}, Heartbeat{Task: first}, TaskSucceeded{Task: 999}, Tick{}, Continue{}, Start{}} {
		if events := s.decide(in); len(events) != 0 {
			t.Errorf("%T made %d events", in, len(events))
		}
	}
	s.succeed(`2`)
	for _, in := range []Input{TaskSucceeded{Task: first}, Tick{}, Stop{}, Continue{}, Start{}} {
		if events := s.decide(in); len(events) != 0 {
			t.Errorf("after the end, %T made %d events", in, len(events))
		}
	}
	s.wantOutput(`2`)
}

func TestStop(t *testing.T) {
	t.Parallel()
	s := begin(t, lone(`{`+callback+`, "End": true}`), `{}`)
	why := "operator"
	s.decide(Stop{Error: &why})
	name, cause := s.x.Failure()
	if s.x.Status() != Aborted || show(name) != why || cause != nil || !s.x.Stopped().Equal(epoch) || len(s.x.Commands()) != 0 {
		t.Errorf("%s %s %s", s.x.Status(), show(name), show(cause))
	}
	if last := s.log[len(s.log)-1]; last.Prev != 0 {
		t.Errorf("ExecutionAborted follows event %d", last.Prev)
	}
	if _, ok := s.x.NextDeadline(); ok {
		t.Error("something is due after the end")
	}
}

// TestExecutionTimeout: TimeoutSeconds at the top level.
func TestExecutionTimeout(t *testing.T) {
	t.Parallel()
	s := begin(t, `{"StartAt": "S", "TimeoutSeconds": 5, "States": {"S": {"Type": "Wait", "Seconds": 60, "End": true}}}`, `{}`)
	s.tick()
	if name, cause := s.x.Failure(); s.x.Status() != TimedOut || name != nil || cause != nil || s.now.Sub(epoch) != 5*time.Second {
		t.Errorf("%s after %v with %s %s", s.x.Status(), s.now.Sub(epoch), show(name), show(cause))
	}
}
