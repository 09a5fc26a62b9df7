package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"callfleet/internal/evidence"
	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/engine"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/handoff"
	"callfleet/internal/localsfn/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// silent answers no call.
type silent struct{}

func (silent) Reads(asl.Resource) bool { return false }

func (silent) Do(ctx context.Context, _ *handoff.Call) (expr.Value, error) {
	<-ctx.Done()
	return expr.Value{}, ctx.Err()
}

// setup is a server whose tasks are never answered.
func setup(t testing.TB) *Server {
	t.Helper()
	b, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: evidence.Dir(t), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	b.Start()
	nc, err := nats.Connect("", nats.InProcessServer(b))
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), nc, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Store: st, Caller: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	<-e.Ready()
	t.Cleanup(func() {
		cancel()
		running.Wait()
		st.Close()
		nc.Close()
		b.Shutdown()
		b.WaitForShutdown()
	})
	s, err := New(Options{Engine: e, Store: st, Region: "us-east-1", AccountID: "000000000000",
		Supports: func(r asl.Resource) bool { return r.Service != "none" }, Names: func() []string { return []string{"sqs:sendMessage"} }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// call makes one call and returns status and answer.
func (s *Server) call(op, body string) (int, string) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "AWSStepFunctions."+op)
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const (
	arnBase   = "arn:aws:states:us-east-1:000000000000:"
	machine1  = arnBase + "stateMachine:m"
	pass      = `{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Pass\",\"End\":true}}}`
	createOne = `{"name":"m","roleArn":"arn:aws:iam::000000000000:role/r","definition":"` + pass + `"}`
)

func TestErrorsAreAWSs(t *testing.T) {
	t.Parallel()
	s := setup(t)
	if code, answer := s.call("CreateStateMachine", createOne); code != 200 {
		t.Fatal(answer)
	}
	if code, answer := s.call("StartExecution", `{"stateMachineArn":"`+machine1+`","name":"x"}`); code != 200 {
		t.Fatal(answer)
	}
	long := strings.Repeat("x", 81)
	for _, tc := range []struct{ op, body, kind, message string }{
		{"CreateStateMachine", `{}`, "ValidationException", "3 validation errors detected: Value null at 'name' failed to satisfy constraint: Member must not be null; Value null at 'definition'"},
		{"CreateStateMachine", strings.Replace(createOne, `"m"`, `"a b"`, 1), "InvalidName", "Invalid Name: 'a b'"},
		{"CreateStateMachine", strings.Replace(createOne, `"m"`, `"`+long+`"`, 1), "ValidationException", "1 validation error detected: Value '" + long + "' at 'name' failed to satisfy constraint: Member must have length less than or equal to 80"},
		{"CreateStateMachine", strings.Replace(createOne, `arn:aws:iam`, `me`, 1), "InvalidArn", "Invalid Role Arn: 'me::"},
		{"CreateStateMachine", strings.Replace(createOne, `\"End\":true`, `\"End\":true,\"Comment\":\"other\"`, 1), "StateMachineAlreadyExists", "State Machine Already Exists: '" + machine1 + "'"},
		{"CreateStateMachine", strings.Replace(createOne, pass, `{}`, 1), "InvalidDefinition", "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: [States"},
		{"CreateStateMachine", strings.Replace(createOne, `"m",`, `"m2","loggingConfiguration":{"level":"ALL"},`, 1), "InvalidLoggingConfiguration", "Invalid Logging Configuration: Must specify exactly one Log Destination."},
		{"UpdateStateMachine", `{"stateMachineArn":"` + machine1 + `"}`, "MissingRequiredParameter", "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified"},
		{"DescribeStateMachine", `{"stateMachineArn":"abc"}`, "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: abc'"},
		{"DescribeStateMachine", `{"stateMachineArn":"` + machine1 + `x"}`, "StateMachineDoesNotExist", "State Machine Does Not Exist: '" + machine1 + "x'"},
		{"ListStateMachines", `{"maxResults":1001}`, "ValidationException", "1 validation error detected: Value '1001' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		{"ListStateMachines", `{"nextToken":"` + strings.Repeat("x", 1025) + `"}`, "ValidationException", "1 validation error detected: Value '" + strings.Repeat("x", 1025) + "' at 'nextToken' failed to satisfy constraint: Member must have length less than or equal to 1024"},
		{"ListStateMachines", `{"nextToken":"nonsense"}`, "InvalidToken", "Invalid Token: 'Invalid token'"},
		{"ListExecutions", `{"stateMachineArn":"` + machine1 + `","statusFilter":"DONE"}`, "ValidationException", "1 validation error detected: Value 'DONE' at 'statusFilter' failed to satisfy constraint: Member must satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]"},
		{"StartExecution", `{"stateMachineArn":"` + machine1 + `","name":"x","input":"{\"a\":1}"}`, "ExecutionAlreadyExists", "Execution Already Exists: '" + arnBase + "execution:m:x'"},
		{"StartExecution", `{"stateMachineArn":"` + machine1 + `","name":"a/b"}`, "InvalidName", "Invalid Name: 'a/b'"},
		{"StartExecution", `{"stateMachineArn":"` + machine1 + `","input":""}`, "InvalidExecutionInput", "Invalid execution input."},
		{"StartExecution", `{"stateMachineArn":"` + machine1 + `","input":"not json"}`, "InvalidExecutionInput", "Invalid State Machine Execution Input: 'Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"},
		{"StartExecution", `{"stateMachineArn":5}`, "SerializationException", "NUMBER_VALUE can not be converted to a string at 'stateMachineArn'"},
		{"StartExecution", `{`, "SerializationException", "the request is not valid JSON"},
		{"StartSyncExecution", `{"stateMachineArn":"` + machine1 + `"}`, "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"},
		{"DescribeExecution", `{"executionArn":"` + arnBase + `execution:m:none"}`, "ExecutionDoesNotExist", "Execution Does Not Exist: '" + arnBase + "execution:m:none'"},
		{"DescribeExecution", `{"executionArn":"` + arnBase + `express:m:x:1"}`, "InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'"},
		{"GetExecutionHistory", `{}`, "ValidationException", "1 validation error detected: Value null at 'executionArn' failed to satisfy constraint: Member must not be null"},
		{"SendTaskSuccess", `{"taskToken":"x","output":"{}"}`, "InvalidToken", "Invalid Token: 'Invalid token'"},
		{"SendTaskFailure", `{"taskToken":"x","error":"` + strings.Repeat("e", 257) + `"}`, "ValidationException", "1 validation error detected: Value '" + strings.Repeat("e", 257) + "' at 'error'"},
		{"SendTaskHeartbeat", `{}`, "ValidationException", "1 validation error detected: Value null at 'taskToken'"},
		{"Dance", `{}`, "UnknownOperationException", `operation "Dance" is not served here`},
	} {
		code, answer := s.call(tc.op, tc.body)
		var got struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil {
			t.Errorf("%s %s: answer %q: %v", tc.op, tc.body, answer, err)
			continue
		}
		_, kind, _ := strings.Cut(got.Type, "#")
		if code != http.StatusBadRequest || kind != tc.kind || !strings.HasPrefix(got.Message, tc.message) {
			t.Errorf("%s %.200s\n got %d %s: %s\nwant 400 %s: %s…", tc.op, tc.body, code, got.Type, got.Message, tc.kind, tc.message)
		}
	}
}

func TestInputsThatAreFine(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.call("CreateStateMachine", createOne)
	for i, input := range []string{`2`, `\"text\"`, `null`, ` [1, 2]`} {
		code, answer := s.call("StartExecution", fmt.Sprintf(`{"stateMachineArn":%q,"name":"n%d","input":"%s"}`, machine1, i, input))
		if code != 200 || !strings.HasPrefix(answer, `{"executionArn":"`+arnBase+fmt.Sprintf(`execution:m:n%d","startDate":1`, i)) {
			t.Errorf("input %s: %d %s", input, code, answer)
		}
		_, answer = s.call("DescribeExecution", fmt.Sprintf(`{"executionArn":"%sexecution:m:n%d"}`, arnBase, i))
		if !strings.Contains(answer, `"input":"`+input+`"`) {
			t.Errorf("input %s is described as %s", input, answer)
		}
	}
}

func TestRequestsTooLarge(t *testing.T) {
	t.Parallel()
	s := setup(t)
	code, answer := s.call("StartExecution", `{"input":"`+strings.Repeat("x", maxRequest)+`"}`)
	if code != http.StatusRequestEntityTooLarge {
		t.Errorf("1 MB: %d %s", code, answer)
	}
	code, answer = s.call("StartExecution", `{"stateMachineArn":"a","input":"`+strings.Repeat("x", maxData+1)+`"}`)
	if code != http.StatusBadRequest || !strings.Contains(answer, "Member must have length less than or equal to 262144") {
		t.Errorf("256 KiB: %d %.100s", code, answer)
	}
}

func TestUpdateKeepsTheRevisionOfTheSame(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.call("CreateStateMachine", createOne)
	if _, d := s.call("DescribeStateMachine", `{"stateMachineArn":"`+machine1+`"}`); strings.Contains(d, "revisionId") {
		t.Errorf("before the first update: %s", d)
	}
	update := `{"stateMachineArn":"` + machine1 + `","roleArn":"arn:aws:iam::000000000000:role/other"}`
	_, first := s.call("UpdateStateMachine", update)
	_, again := s.call("UpdateStateMachine", update)
	if first != again || !strings.Contains(first, `"revisionId":"`) {
		t.Errorf("first %s, again %s", first, again)
	}
	_, other := s.call("UpdateStateMachine", `{"stateMachineArn":"`+machine1+`","definition":"`+strings.Replace(pass, `\"Pass\"`, `\"Succeed\"`, 1)+`"}`)
	if other == first {
		t.Errorf("another definition has the revision of the old one, or was refused: %s", other)
	}
}

func TestHistoryPages(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.call("CreateStateMachine", createOne)
	s.call("StartExecution", `{"stateMachineArn":"`+machine1+`","name":"x"}`)
	for _, reverse := range []bool{false, true} {
		var types []string
		next := ""
		for {
			_, answer := s.call("GetExecutionHistory", fmt.Sprintf(`{"executionArn":"%sexecution:m:x","maxResults":2,"reverseOrder":%v,"nextToken":%q}`, arnBase, reverse, next))
			var page struct {
				Events    []struct{ Type string }
				NextToken string
			}
			if err := json.Unmarshal([]byte(answer), &page); err != nil || len(page.Events) > 2 {
				t.Fatalf("%s: %v", answer, err)
			}
			for _, e := range page.Events {
				types = append(types, e.Type)
			}
			if next = page.NextToken; next == "" {
				break
			}
		}
		want := "ExecutionStarted PassStateEntered PassStateExited ExecutionSucceeded"
		if reverse {
			want = "ExecutionSucceeded PassStateExited PassStateEntered ExecutionStarted"
		}
		if got := strings.Join(types, " "); got != want {
			t.Errorf("reverse %v: %s", reverse, got)
		}
	}
	if _, answer := s.call("GetExecutionHistory", `{"executionArn":"`+arnBase+`execution:m:x","includeExecutionData":false}`); strings.Contains(answer, `"input":`) {
		t.Errorf("data was not asked for: %s", answer)
	}
}

func TestDefinitionFindings(t *testing.T) {
	t.Parallel()
	s := setup(t)
	task := func(resource string) string {
		return `{"definition":"{\"StartAt\":\"A\",\"States\":{\"A\":{\"Type\":\"Task\",\"Resource\":\"` + resource + `\",\"TimeoutSeconds\":9,\"HeartbeatSeconds\":5,\"Parameters\":{},\"End\":true}}}","type":"%s"}`
	}
	for _, tc := range []struct{ body, want string }{
		{fmt.Sprintf(task("arn:aws:states:::sqs:sendMessage.waitForTaskToken"), "EXPRESS"), `"message":"Express state machine does not support '.waitForTaskToken' service integration ","location":"/States/A/Resource"`},
		{fmt.Sprintf(task("arn:aws:states:::none:sing"), "STANDARD"), `"code":"`},
		{fmt.Sprintf(task("arn:aws:states:::sqs:sendMessage"), "STANDARD"), `{"result":"OK","diagnostics":[],"truncated":false}`},
		{`{"definition":"{\"StartAt\":5,\"States\":{\"A\":{},\"B\":{}}}","maxResults":1}`, `"truncated":true`},
	} {
		if _, answer := s.call("ValidateStateMachineDefinition", tc.body); !strings.Contains(answer, tc.want) {
			t.Errorf("%s\n got %s\nwant …%s…", tc.body, answer, tc.want)
		}
	}
}

func FuzzServer(f *testing.F) {
	s := setup(f)
	s.call("CreateStateMachine", createOne)
	f.Add("StartExecution", `{"stateMachineArn":"`+machine1+`","input":"{}"}`)
	f.Add("GetExecutionHistory", `{"executionArn":"`+arnBase+`execution:m:x","nextToken":"MSBoaXN0b3J5IDk5OTk5OTk5OTk5OTk5OTk5OTk="}`)
	f.Add("ListStateMachines", `{"nextToken":"MSBtYWNoaW5lcyAxODQ0Njc0NDA3MzcwOTU1MTYxNQ=="}`)
	f.Add("ListExecutions", `{"stateMachineArn":"`+machine1+`","maxResults":-1}`)
	f.Add("SendTaskSuccess", `{"taskToken":"AQ","output":"1"}`)
	f.Add("CreateStateMachine", createOne)
	f.Fuzz(func(t *testing.T, op, body string) {
		code, answer := s.call(op, body)
		if code != 200 && code != 400 && code != 413 || !json.Valid([]byte(answer)) {
			t.Errorf("%s %q: %d %q", op, body, code, answer)
		}
	})
}
