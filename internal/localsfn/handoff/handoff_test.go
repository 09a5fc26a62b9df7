package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/queue"
)

// memory is a Table of one key.
type memory struct {
	mu       sync.Mutex
	items    map[string]json.RawMessage
	revision int
	trouble  int // guarded by mu: how many calls fail first
}

var _ Table = (*memory)(nil)

func newMemory() *memory { return &memory{items: map[string]json.RawMessage{}} }

func (*memory) Name() string       { return "T" }
func (*memory) KeyNames() []string { return []string{"PK", "SK"} }

func keyOf(text json.RawMessage) string {
	var m map[string]json.RawMessage
	_ = json.Unmarshal(text, &m)
	return string(m["PK"]) + string(m["SK"])
}

// ok fails while there is trouble. Called with m.mu held.
func (m *memory) ok() error {
	if m.trouble > 0 {
		m.trouble--
		return errors.New("store is away")
	}
	return nil
}

func (m *memory) Get(_ context.Context, key json.RawMessage) (json.RawMessage, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ok(); err != nil {
		return nil, "", err
	}
	if it := m.items[keyOf(key)]; it != nil {
		return it, fmt.Sprint(m.revision), nil
	}
	return nil, "", nil
}

func (m *memory) Put(_ context.Context, item json.RawMessage, revision string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ok(); err != nil {
		return err
	}
	was := ""
	if m.items[keyOf(item)] != nil {
		was = fmt.Sprint(m.revision)
	}
	if revision != Any && revision != was {
		return ErrChanged
	}
	m.revision++
	m.items[keyOf(item)] = item
	return nil
}

func (m *memory) Delete(_ context.Context, key json.RawMessage, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.items, keyOf(key))
	return m.ok()
}

func service(t testing.TB, o Options) *Handoff {
	t.Helper()
	if o.Region == "" {
		o.Region, o.AccountID = "us-east-1", "000000000000"
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// do calls a resource with parameters.
func do(t testing.TB, h *Handoff, arn, parameters string) (string, *Failure) {
	t.Helper()
	r, ok := asl.ParseResource(arn)
	if !ok {
		t.Fatalf("%s is no resource", arn)
	}
	p, err := expr.Parse([]byte(parameters))
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Do(t.Context(), &Call{Resource: r, Parameters: p, ID: "m:x:5:abc", Execution: "x", Headers: map[string]string{"traceparent": "tp"}})
	var f *Failure
	if err != nil && !errors.As(err, &f) {
		t.Fatal(err)
	}
	return string(out.JSON()), f
}

// without drops the metadata of an answer.
func without(t testing.TB, out string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if !strings.Contains(string(m["SdkHttpMetadata"]), `"HttpStatusCode":200`) || !strings.Contains(string(m["SdkResponseMetadata"]), `"RequestId"`) {
		t.Errorf("metadata is missing in %s", out)
	}
	delete(m, "SdkHttpMetadata")
	delete(m, "SdkResponseMetadata")
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const dynamoARN = "arn:aws:states:::dynamodb:"

func TestItemsAreKept(t *testing.T) {
	t.Parallel()
	h := service(t, Options{Table: newMemory()})
	key := `"Key":{"PK":{"S":"a"},"SK":{"S":"GET"}}`
	for i, step := range []struct{ op, parameters, want string }{
		{"getItem", `{"TableName":"T",` + key + `}`, `{}`},
		{"putItem", `{"TableName":"T","Item":{"PK":{"S":"a"},"SK":{"S":"GET"},"n":{"N":"1"}}}`, `{}`},
		{"getItem", `{"TableName":"T",` + key + `}`, `{"Item":{"PK":{"S":"a"},"SK":{"S":"GET"},"n":{"N":"1"}}}`},
		{"putItem", `{"TableName":"T","ReturnValues":"ALL_OLD","Item":{"PK":{"S":"a"},"SK":{"S":"GET"},"n":{"N":"2"}}}`, `{"Attributes":{"PK":{"S":"a"},"SK":{"S":"GET"},"n":{"N":"1"}}}`},
		{"updateItem", `{"TableName":"T",` + key + `,"UpdateExpression":"SET n = n + :d, #u = :u REMOVE gone","ExpressionAttributeNames":{"#u":"url"},"ExpressionAttributeValues":{":d":{"N":"40"},":u":{"S":"http://x"}},"ReturnValues":"UPDATED_NEW"}`, `{"Attributes":{"n":{"N":"42"},"url":{"S":"http://x"}}}`},
		{"deleteItem", `{"TableName":"T",` + key + `,"ReturnValues":"ALL_OLD"}`, `{"Attributes":{"PK":{"S":"a"},"SK":{"S":"GET"},"n":{"N":"42"},"url":{"S":"http://x"}}}`},
		{"getItem", `{"TableName":"T",` + key + `}`, `{}`},
	} {
		out, f := do(t, h, dynamoARN+step.op, step.parameters)
		if f != nil {
			t.Fatalf("step %d: %v", i, f)
		}
		if got := without(t, out); got != step.want {
			t.Errorf("step %d %s\n got %s\nwant %s", i, step.op, got, step.want)
		}
	}
}

func TestItemFailures(t *testing.T) {
	t.Parallel()
	h := service(t, Options{Table: newMemory()})
	for _, tc := range []struct{ op, parameters, name, cause string }{
		{"getItem", `{"TableName":"other","Key":{}}`, "DynamoDB.ResourceNotFoundException", "Requested resource not found (Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ResourceNotFoundException; Request ID: "},
		{"putItem", `{"TableName":"T"}`, "DynamoDB.AmazonDynamoDBException", "1 validation error detected: Value null at 'item' failed to satisfy constraint: Member must not be null (Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ValidationException; "},
		{"putItem", `{"TableName":"/T","Item":{}}`, "DynamoDB.AmazonDynamoDBException", "1 validation error detected: Value '/T' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+ ("},
		{"putItem", `{"TableName":"T","Item":{"PK":{"S":"a"}}}`, "DynamoDB.AmazonDynamoDBException", "One or more parameter values were invalid: Missing the key SK in the item ("},
		{"getItem", `{"TableName":"T","Key":{"PK":{"S":"a"}}}`, "DynamoDB.AmazonDynamoDBException", "The provided key element does not match the schema ("},
		{"getItem", `{"TableName":5}`, "DynamoDB.AmazonDynamoDBException", "TableName must be a string ("},
		{"getItem", `[]`, "States.Runtime", "The parameters of the task must be a JSON object."},
	} {
		_, f := do(t, h, dynamoARN+tc.op, tc.parameters)
		if f == nil || f.Name != tc.name || !strings.HasPrefix(f.Cause, tc.cause) {
			t.Errorf("%s %s\n got %v\nwant %s: %s…", tc.op, tc.parameters, f, tc.name, tc.cause)
		}
	}
	if _, f := do(t, service(t, Options{}), dynamoARN+"getItem", `{"TableName":"T","Key":{}}`); f == nil || !strings.Contains(f.Cause, "CALLFLEET_TEMPLATES") {
		t.Errorf("without a table: %v, want the setting's name", f)
	}
}

func TestStoreTroubleIsWaitedOut(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.trouble = 3
	if _, f := do(t, service(t, Options{Table: m}), dynamoARN+"getItem", `{"TableName":"T","Key":{"PK":{"S":"a"},"SK":{"S":"b"}}}`); f != nil {
		t.Errorf("got %v", f)
	}
}

func TestConcurrentUpdatesAllCount(t *testing.T) {
	t.Parallel()
	h := service(t, Options{Table: newMemory()})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, f := do(t, h, dynamoARN+"updateItem", `{"TableName":"T","Key":{"PK":{"S":"a"},"SK":{"S":"b"}},"UpdateExpression":"ADD n :one","ExpressionAttributeValues":{":one":{"N":"1"}}}`); f != nil {
				t.Error(f)
			}
		})
	}
	all.Wait()
	out, _ := do(t, h, dynamoARN+"getItem", `{"TableName":"T","Key":{"PK":{"S":"a"},"SK":{"S":"b"}}}`)
	if got := without(t, out); !strings.Contains(got, `"n":{"N":"8"}`) {
		t.Errorf("got %s, want n = 8", got)
	}
}

// outbox is a queue that keeps what it is given.
type outbox struct {
	mu      sync.Mutex
	msgs    []queue.Message
	trouble []error
}

func (q *outbox) Publish(_ context.Context, msgs ...queue.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.trouble) > 0 {
		err := q.trouble[0]
		q.trouble = q.trouble[1:]
		return err
	}
	q.msgs = append(q.msgs, msgs...)
	return nil
}

func (*outbox) Limits() queue.Limits {
	return queue.Limits{MaxBytes: 1000, MaxHeaders: 10, MaxDelay: time.Minute}
}

func TestSendMessage(t *testing.T) {
	t.Parallel()
	q := &outbox{trouble: []error{errors.New("away"), errors.New("still away")}}
	h := service(t, Options{Queues: func(name string) (queue.Publisher, error) {
		if name != "tasks" {
			return nil, queue.ErrNotFound
		}
		return q, nil
	}})
	out, f := do(t, h, "arn:aws:states:::sqs:sendMessage.waitForTaskToken", `{"QueueUrl":"tasks","MessageBody":{"a": 1},"DelaySeconds":2,"MessageGroupId":"g","MessageAttributes":{"k":{"DataType":"String","StringValue":"v"}}}`)
	if f != nil {
		t.Fatal(f)
	}
	var answer struct{ MD5OfMessageBody, MD5OfMessageAttributes, MessageId string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(q.msgs) != 1 {
		t.Fatalf("%s, %d messages, %v", out, len(q.msgs), err)
	}
	m := q.msgs[0]
	if answer.MD5OfMessageBody != bodyMD5(m.Body) || len(answer.MessageId) != 36 || answer.MD5OfMessageAttributes == "" {
		t.Errorf("answer %+v", answer)
	}
	if m.ID != "m:x:5:abc" || m.Group != "g" || m.Delay != 2*time.Second || m.Headers["k"] != "v" || m.Headers["traceparent"] != "tp" {
		t.Errorf("message %+v", m)
	}
	for _, tc := range []struct{ parameters, name, cause string }{
		{`{"QueueUrl":"none","MessageBody":"x"}`, "SQS.QueueDoesNotExistException", "The specified queue does not exist"},
		{`{"QueueUrl":"https://sqs/q","MessageBody":"x"}`, "SQS.QueueDoesNotExistException", "queue https://sqs/q: no SQS endpoint is configured"},
		{`{"QueueUrl":"tasks"}`, "SQS.AmazonSQSException", "The request must contain the parameter MessageBody."},
		{`{"QueueUrl":"tasks","MessageBody":"x","DelaySeconds":901}`, "SQS.AmazonSQSException", "Value 901 for parameter DelaySeconds is invalid."},
		{`{"MessageBody":"x"}`, "States.Runtime", "The Parameters field QueueUrl is required."},
	} {
		if _, f := do(t, h, "arn:aws:states:::sqs:sendMessage", tc.parameters); f == nil || f.Name != tc.name || !strings.HasPrefix(f.Cause, tc.cause) {
			t.Errorf("%s: %v, want %s: %s…", tc.parameters, f, tc.name, tc.cause)
		}
	}
	q.trouble = []error{queue.ErrTooLarge}
	if _, f := do(t, h, "arn:aws:states:::sqs:sendMessage", `{"QueueUrl":"tasks","MessageBody":"x"}`); f == nil || f.Name != "SQS.InvalidParameterValueException" {
		t.Errorf("too large: %v", f)
	}
}

// The digest was computed by another implementation of the same document.
func TestAttributesMD5(t *testing.T) {
	t.Parallel()
	v, err := expr.Parse([]byte(`{"foo":{"DataType":"String","StringValue":"val2"},"bar":{"DataType":"Number","StringValue":"1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	all, err := readAttributes(v)
	if err != nil {
		t.Fatal(err)
	}
	if got := (&message{attributes: all}).attributesMD5(); got != "179be9912e11d477b57357d328b1130b" {
		t.Errorf("got %q", got)
	}
	if got := (&message{}).attributesMD5(); got != "" {
		t.Errorf("without attributes: %q", got)
	}
}

func TestLambdaInvoke(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/functions/flaky/") && calls.Add(1) == 1:
			w.WriteHeader(http.StatusTooManyRequests)
		case strings.Contains(r.URL.Path, "/functions/denied/"):
			w.Header().Set("X-Amzn-Errortype", "AccessDeniedException:http://internal")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"Message":"no"}`))
		case strings.Contains(r.URL.Path, "/functions/raises/"):
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = w.Write([]byte(`{"errorMessage": "m", "errorType": "E"}`))
		case strings.Contains(r.URL.Path, "/functions/large/"):
			_, _ = w.Write([]byte(`"` + strings.Repeat("a", maxAnswer) + `"`))
		default:
			_, _ = w.Write([]byte(`{"got":"` + r.Header.Get("traceparent") + `"}`))
		}
	}))
	t.Cleanup(web.Close)
	h := service(t, Options{LambdaFunctions: map[string]string{"flaky": web.URL, "denied": web.URL, "raises": web.URL, "large": web.URL}})
	out, f := do(t, h, "arn:aws:states:::lambda:invoke", `{"FunctionName":"flaky","Payload":{"a":1}}`)
	if f != nil {
		t.Fatal(f)
	}
	if got := without(t, out); got != `{"ExecutedVersion":"$LATEST","Payload":{"got":"tp"},"StatusCode":200}` || calls.Load() != 2 {
		t.Errorf("got %s after %d calls", got, calls.Load())
	}
	for _, tc := range []struct{ function, name, cause string }{
		{"denied", "Lambda.AccessDeniedException", "no (Service: AWSLambda; Status Code: 403; Error Code: AccessDeniedException;"},
		{"raises", "E", `{"errorMessage":"m","errorType":"E"}`},
		{"large", "States.DataLimitExceeded", "The state/task 'lambda' returned a result with a size exceeding the maximum number of bytes service limit."},
		{"elsewhere", "Lambda.ResourceNotFoundException", "function elsewhere: no Lambda endpoint is configured (set CALLFLEET_LAMBDA_ENDPOINT"},
	} {
		if _, f := do(t, h, "arn:aws:states:::lambda:invoke", `{"FunctionName":"`+tc.function+`"}`); f == nil || f.Name != tc.name || !strings.HasPrefix(f.Cause, tc.cause) {
			t.Errorf("%s: %v, want %s: %s…", tc.function, f, tc.name, tc.cause)
		}
	}
}

func TestSupports(t *testing.T) {
	t.Parallel()
	h := service(t, Options{})
	for arn, want := range map[string]bool{
		"arn:aws:states:::sqs:sendMessage":                    true,
		"arn:aws:states:::sqs:sendMessage.waitForTaskToken":   true,
		"arn:aws:states:::dynamodb:getItem":                   true,
		"arn:aws:states:::dynamodb:query":                     false,
		"arn:aws:states:::states:startExecution.sync":         false,
		"arn:aws:lambda:us-east-1:123456789012:function:name": true,
	} {
		r, _ := asl.ParseResource(arn)
		if got := h.Supports(r); got != want {
			t.Errorf("%s: %v, want %v", arn, got, want)
		}
	}
}
