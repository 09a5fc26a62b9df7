package localsfn_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"callfleet/internal/localsfn"
)

const callInput = `{"templateName":"get","method":"GET","params":{"id":1}}`

func TestCallWorkflowEndToEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	arn := r.begin(t, r.create(t, "call-api", callWorkflow), "r-1", callInput)
	task := r.tasks.receive(t)
	if task.Group != "r-1" || !strings.Contains(string(task.Body), `"url":{"S":"http://127.0.0.1/get/{{ id }}"}`) {
		t.Errorf("task message: group %q, body %s", task.Group, task.Body)
	}
	r.succeed(t, tokenOf(t, task), `{"statusCode": 200, "body": {"n": 1.50}}`)
	e := r.ended(t, arn, types.ExecutionStatusSucceeded)
	if e.Detail.Output == nil || *e.Detail.Output != `{"statusCode":200,"body":{"n":1.50}}` || e.Detail.Input != callInput {
		t.Errorf("event detail %+v, output %s", e.Detail, *e.Detail.Output)
	}
	if e.DetailType != "Step Functions Execution Status Change" || e.Source != "aws.states" || e.Account != "000000000000" || e.Detail.StopDate < e.Detail.StartDate {
		t.Errorf("event %+v", e)
	}
	d := r.describe(t, arn)
	if d.Status != types.ExecutionStatusSucceeded || *d.Output != *e.Detail.Output {
		t.Errorf("described as %s with output %v", d.Status, d.Output)
	}
	want := "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSucceeded TaskStateExited TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskStateExited ChoiceStateEntered ChoiceStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded"
	if got := r.events(t, arn); got != want {
		t.Errorf("history\n got %s\nwant %s", got, want)
	}
}

func TestTransportSpeaksLikeTheNetwork(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.client = sfn.New(sfn.Options{
		Region: "us-east-1", BaseEndpoint: ptr("http://in-process"), HTTPClient: &http.Client{Transport: r.server.Transport()},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	arn := r.begin(t, r.create(t, "call-api", callWorkflow), "r-1", callInput)
	r.succeed(t, tokenOf(t, r.tasks.receive(t)), `{"statusCode":200}`)
	r.ended(t, arn, types.ExecutionStatusSucceeded)
	var none *types.ExecutionDoesNotExist
	if _, err := r.client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: ptr(arn + "x")}); !errors.As(err, &none) {
		t.Errorf("got %v", err)
	}
}

func TestRunningEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(o *options) {
		o.server = func(s *localsfn.Options) { s.RunningEvents = true }
	})
	arn := r.begin(t, r.create(t, "pass", passChain(1)), "p", `{}`)
	if e := r.ended(t, arn, types.ExecutionStatusRunning); e.Detail.Output != nil || e.Detail.StopDate != 0 {
		t.Errorf("event of the start %+v", e.Detail)
	}
	r.ended(t, arn, types.ExecutionStatusSucceeded)
}

// AWS: StartExecution is idempotent while the execution runs.
func TestStartIsIdempotent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	first := r.begin(t, machine, "r-1", callInput)
	if again := r.begin(t, machine, "r-1", callInput); again != first {
		t.Errorf("second start answered %s, first %s", again, first)
	}
	var taken *types.ExecutionAlreadyExists
	_, err := r.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &machine, Name: ptr("r-1"), Input: ptr(`{}`)})
	if !errors.As(err, &taken) || !strings.Contains(err.Error(), "Execution Already Exists: '"+first+"'") {
		t.Errorf("start with another input: %v", err)
	}
	r.succeed(t, tokenOf(t, r.tasks.receive(t)), `{"statusCode":200}`)
	r.ended(t, first, types.ExecutionStatusSucceeded)
	_, err = r.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &machine, Name: ptr("r-1"), Input: ptr(callInput)})
	if !errors.As(err, &taken) {
		t.Errorf("start after the end: %v", err)
	}
	r.tasks.none(t)
}

func TestTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	arn := r.begin(t, r.create(t, "call-api", callWorkflow), "r-1", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	var invalid *types.InvalidToken
	for _, bad := range []string{"x", token[:len(token)-2], strings.ToLower(token)} {
		if _, err := r.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &bad, Output: ptr("{}")}); !errors.As(err, &invalid) {
			t.Errorf("token of %d characters: %v, want InvalidToken", len(bad), err)
		}
	}
	var output *types.InvalidOutput
	if _, err := r.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: ptr("{")}); !errors.As(err, &output) {
		t.Errorf("broken output: %v, want InvalidOutput", err)
	}
	if _, err := r.client.SendTaskHeartbeat(t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: &token}); err != nil {
		t.Errorf("heartbeat: %v", err)
	}
	if _, err := r.client.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: &token, Error: ptr("Callfleet.Timeout"), Cause: ptr("too slow")}); err != nil {
		t.Fatal(err)
	}
	if e := r.ended(t, arn, types.ExecutionStatusFailed); e.Detail.Error != "Callfleet.Timeout" || e.Detail.Cause != "too slow" || e.Detail.Output != nil {
		t.Errorf("event %+v", e.Detail)
	}
	var gone *types.TaskTimedOut
	if _, err := r.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: ptr("{}")}); !errors.As(err, &gone) {
		t.Errorf("token of an ended execution: %v, want TaskTimedOut", err)
	}
}

func TestStopExecution(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	arn := r.begin(t, r.create(t, "call-api", callWorkflow), "r-1", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	first, err := r.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn, Error: ptr("E"), Cause: ptr("C")})
	if err != nil {
		t.Fatal(err)
	}
	r.ended(t, arn, types.ExecutionStatusAborted)
	again, err := r.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn})
	if err != nil || !again.StopDate.Equal(*first.StopDate) {
		t.Errorf("second stop: %v, %v; first %v", again, err, first.StopDate)
	}
	if d := r.describe(t, arn); d.Status != types.ExecutionStatusAborted || *d.Error != "E" || *d.Cause != "C" {
		t.Errorf("described as %s", d.Status)
	}
	var gone *types.TaskTimedOut
	if _, err := r.client.SendTaskHeartbeat(t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: &token}); !errors.As(err, &gone) {
		t.Errorf("heartbeat after the stop: %v, want TaskTimedOut", err)
	}
	var none *types.ExecutionDoesNotExist
	if _, err := r.client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: ptr(arn + "x")}); !errors.As(err, &none) {
		t.Errorf("stop of nothing: %v", err)
	}
}

func TestTimersEndWaitsAndTasks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	wait := r.create(t, "wait", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":1,"End":true}}}`)
	begun := time.Now()
	r.ended(t, r.begin(t, wait, "w", `{}`), types.ExecutionStatusSucceeded)
	if d := time.Since(begun); d < time.Second-time.Millisecond { // the log has milliseconds
		t.Errorf("waited %v, want 1 s", d)
	}
	limit := r.create(t, "limit", strings.Replace(callWorkflow, `"TimeoutSeconds":900,"HeartbeatSeconds":60`, `"TimeoutSeconds":1`, 1))
	arn := r.begin(t, limit, "t", callInput)
	r.tasks.receive(t)
	if e := r.ended(t, arn, types.ExecutionStatusFailed); e.Detail.Error != "States.Timeout" {
		t.Errorf("event %+v", e.Detail)
	}
}

func TestHeartbeatsKeepATaskAlive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	arn := r.begin(t, r.create(t, "beat", strings.Replace(callWorkflow, `"HeartbeatSeconds":60`, `"HeartbeatSeconds":1`, 1)), "h", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	beats := time.NewTicker(400 * time.Millisecond)
	defer beats.Stop()
	for range 5 {
		<-beats.C
		if _, err := r.client.SendTaskHeartbeat(t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: &token}); err != nil {
			t.Fatal(err)
		}
	}
	r.results.none(t)
	if e := r.ended(t, arn, types.ExecutionStatusFailed); !strings.HasPrefix(e.Detail.Error, "States.") {
		t.Errorf("without beats it ended with %+v", e.Detail)
	}
}

func TestListExecutionsPagesAndFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "pass", passChain(1))
	open := r.create(t, "call-api", callWorkflow)
	for i := range 5 {
		r.ended(t, r.begin(t, machine, fmt.Sprint("x", i), `{}`), types.ExecutionStatusSucceeded)
	}
	r.begin(t, open, "o", callInput)
	var names []string
	p := sfn.NewListExecutionsPaginator(r.client, &sfn.ListExecutionsInput{StateMachineArn: &machine, MaxResults: 2, StatusFilter: types.ExecutionStatusSucceeded})
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.Executions {
			names = append(names, *x.Name)
		}
	}
	if got := strings.Join(names, " "); got != "x4 x3 x2 x1 x0" {
		t.Errorf("listed %s", got)
	}
	page, err := r.client.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: &open, StatusFilter: types.ExecutionStatusRunning})
	if err != nil || len(page.Executions) != 1 || page.Executions[0].StopDate != nil {
		t.Errorf("running: %+v, %v", page, err)
	}
}

func TestUpdatedMachineLeavesItsExecutionsAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	machine := r.create(t, "call-api", callWorkflow)
	arn := r.begin(t, machine, "old", callInput)
	token := tokenOf(t, r.tasks.receive(t))
	if _, err := r.client.UpdateStateMachine(t.Context(), &sfn.UpdateStateMachineInput{StateMachineArn: &machine, Definition: ptr(passChain(1))}); err != nil {
		t.Fatal(err)
	}
	r.restart(t)
	r.ended(t, r.begin(t, machine, "new", callInput), types.ExecutionStatusSucceeded)
	if _, err := r.client.DeleteStateMachine(t.Context(), &sfn.DeleteStateMachineInput{StateMachineArn: &machine}); err != nil {
		t.Fatal(err)
	}
	r.succeed(t, token, `{"statusCode":200}`)
	r.ended(t, arn, types.ExecutionStatusSucceeded)
	d, err := r.client.DescribeStateMachineForExecution(t.Context(), &sfn.DescribeStateMachineForExecutionInput{ExecutionArn: &arn})
	if err != nil || *d.Definition != callWorkflow {
		t.Errorf("definition of the old execution: %v, %v", d, err)
	}
}

func TestLambdaByARN(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "missing"):
			w.WriteHeader(http.StatusNotFound)
		case strings.Contains(r.URL.Path, "broken"):
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = w.Write([]byte(`{"errorType": "Oops", "errorMessage": "no"}`))
		default:
			_, _ = w.Write([]byte(`{"statusCode": 200}`))
		}
	}))
	t.Cleanup(web.Close)
	r := newRig(t, func(o *options) { o.lambda = web.URL })
	for _, tc := range []struct {
		function     string
		status       types.ExecutionStatus
		error, cause string
	}{
		{"GenericApiCallLambda", types.ExecutionStatusSucceeded, "", ""},
		{"broken", types.ExecutionStatusFailed, "Oops", `{"errorType": "Oops", "errorMessage": "no"}`},
		{"missing", types.ExecutionStatusFailed, "Lambda.ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:123456789012:function:missing:$LATEST (Service: AWSLambda; Status Code: 404;"},
	} {
		machine := r.create(t, tc.function, `{"StartAt":"L","States":{"L":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:123456789012:function:`+tc.function+`","End":true}}}`)
		e := r.ended(t, r.begin(t, machine, "x", `{}`), tc.status)
		if e.Detail.Error != tc.error || !strings.HasPrefix(e.Detail.Cause, tc.cause) {
			t.Errorf("%s: %s: %s", tc.function, e.Detail.Error, e.Detail.Cause)
		}
	}
}
