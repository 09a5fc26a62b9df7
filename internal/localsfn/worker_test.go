package localsfn_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"callfleet/internal/queue"
)

// box is a queue that keeps what is published, and drops repeated ids as a
// broker does.
type box struct {
	mu       sync.Mutex
	fail     error // guarded by mu: what Publish returns instead of taking messages
	after    error // guarded by mu: what Publish returns after taking them
	seen     map[string]bool
	attempts int // guarded by mu: messages offered, repeated ones too
	ch       chan queue.Message
}

func newBox() *box { return &box{seen: map[string]bool{}, ch: make(chan queue.Message, 10_000)} }

var _ queue.Publisher = (*box)(nil)

func (b *box) Publish(_ context.Context, msgs ...queue.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts += len(msgs)
	if b.fail != nil {
		return b.fail
	}
	for _, m := range msgs {
		if !b.seen[m.ID] {
			b.seen[m.ID] = true
			b.ch <- m
		}
	}
	return b.after
}

func (b *box) Limits() queue.Limits {
	return queue.Limits{MaxBytes: 1 << 20, MaxHeaders: 10, MaxDelay: 15 * time.Minute}
}

func (b *box) set(fail, after error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail, b.after = fail, after
}

func (b *box) offered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.attempts
}

// receive waits for the next message.
func (b *box) receive(t *testing.T) queue.Message {
	t.Helper()
	select {
	case m := <-b.ch:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no message came")
	}
	panic("unreachable")
}

// none fails if there is a message.
func (b *box) none(t *testing.T) {
	t.Helper()
	select {
	case m := <-b.ch:
		t.Errorf("unexpected message %s: %s", m.ID, m.Body)
	default:
	}
}

func tokenOf(t *testing.T, m queue.Message) string {
	t.Helper()
	var body struct {
		Token string `json:"taskToken"`
	}
	if err := json.Unmarshal(m.Body, &body); err != nil || body.Token == "" {
		t.Fatalf("message %s has no token: %s (%v)", m.ID, m.Body, err)
	}
	return body.Token
}

// rig is a fixture whose queues are boxes.
type rig struct {
	*fixture
	tasks, results *box
}

func newRig(t *testing.T, configure ...func(*options)) *rig {
	t.Helper()
	r := &rig{tasks: newBox(), results: newBox()}
	r.fixture = newFixture(t, func(o *options) {
		o.tasks, o.results = r.tasks, r.results
		for _, c := range configure {
			c(o)
		}
	})
	return r
}

func (f *fixture) begin(t *testing.T, arn, name, input string) string {
	t.Helper()
	out, err := f.client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: &arn, Name: &name, Input: &input})
	if err != nil {
		t.Fatal(err)
	}
	return *out.ExecutionArn
}

func (f *fixture) succeed(t *testing.T, token, output string) {
	t.Helper()
	if _, err := f.client.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &token, Output: &output}); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) describe(t *testing.T, arn string) *sfn.DescribeExecutionOutput {
	t.Helper()
	d, err := f.client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// events are the types of an execution's history.
func (f *fixture) events(t *testing.T, arn string) string {
	t.Helper()
	var all []string
	p := sfn.NewGetExecutionHistoryPaginator(f.client, &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 3})
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			all = append(all, string(e.Type))
		}
	}
	return strings.Join(all, " ")
}

// event is what the tests read of a status-change event.
type event struct {
	ID         string `json:"id"`
	DetailType string `json:"detail-type"`
	Source     string `json:"source"`
	Account    string `json:"account"`
	Detail     struct {
		ExecutionARN string  `json:"executionArn"`
		Name         string  `json:"name"`
		Status       string  `json:"status"`
		StartDate    int64   `json:"startDate"`
		StopDate     int64   `json:"stopDate"`
		Input        string  `json:"input"`
		Output       *string `json:"output"`
		Error        string  `json:"error"`
		Cause        string  `json:"cause"`
	} `json:"detail"`
}

// ended waits for the end of an execution on the feed.
func (r *rig) ended(t *testing.T, arn string, status types.ExecutionStatus) event {
	t.Helper()
	m := r.results.receive(t)
	var e event
	if err := json.Unmarshal(m.Body, &e); err != nil {
		t.Fatalf("event %s: %v", m.Body, err)
	}
	if e.Detail.ExecutionARN != arn || e.Detail.Status != string(status) {
		t.Fatalf("got the end of %s as %s (%s: %s), want %s as %s", e.Detail.ExecutionARN, e.Detail.Status, e.Detail.Error, e.Detail.Cause, arn, status)
	}
	if m.ID != arn+string(status) || m.Group != e.Detail.Name {
		t.Errorf("message id %q, group %q", m.ID, m.Group)
	}
	return e
}

func ptr(s string) *string { return aws.String(s) }
