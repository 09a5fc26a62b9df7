package sqsqueue_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"callfleet/internal/awstest"
)

// wire is the way to SQS, or SQS itself: it sees each request, counts it, and
// may answer in place of the emulator.
type wire struct {
	next http.RoundTripper // nil: all is answered here
	// answer returns nil to send the request on.
	answer func(call) *http.Response

	mu    sync.Mutex
	calls map[string]int // guarded by mu: requests by action
}

// call is one request to SQS.
type call struct {
	Action string
	Body   []byte
	*http.Request
}

// entries are the ids of a batch.
func (c call) entries() []string {
	var in struct{ Entries []struct{ ID string } }
	_ = json.Unmarshal(c.Body, &in)
	ids := make([]string, len(in.Entries))
	for i, e := range in.Entries {
		ids[i] = e.ID
	}
	return ids
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	if w.calls == nil {
		w.calls = make(map[string]int)
	}
	w.calls[action]++
	answer := w.answer
	w.mu.Unlock()
	if answer != nil {
		if res := answer(call{action, body, r}); res != nil {
			return res, nil
		}
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if w.next == nil {
		return nil, fmt.Errorf("nobody answers %s", action)
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return w.next.RoundTrip(r)
}

// count tells how many requests of an action were made.
func (w *wire) count(action string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[action]
}

// set changes what answers.
func (w *wire) set(answer func(call) *http.Response) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

// tap puts a wire in front of an emulator.
func tap(e awstest.Emulator) (*wire, aws.Config) {
	cfg := e.Config()
	w := &wire{next: cfg.HTTPClient.(*http.Client).Transport}
	cfg.HTTPClient = &http.Client{Transport: w}
	return w, cfg
}

// scripted is an SQS that only answer knows; it needs no network.
func scripted(answer func(call) *http.Response) (*wire, aws.Config) {
	w := &wire{answer: answer}
	cfg := awstest.Emulator{URL: "http://sqs.test"}.Config()
	cfg.HTTPClient = &http.Client{Transport: w}
	return w, cfg
}

// reply is an answer of SQS.
func reply(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

// refuse is an error of SQS.
func refuse(status int, code, message string) *http.Response {
	return reply(status, fmt.Sprintf(`{"__type":"com.amazonaws.sqs#%s","message":%q}`, code, message))
}

// taken answers a batch: all entries were taken but those that failed says are
// not, by their number.
func taken(c call, failed map[int]string) *http.Response {
	var ok, bad []string
	for i, id := range c.entries() {
		if why, is := failed[i]; is {
			bad = append(bad, fmt.Sprintf(`{"Id":%q,%s}`, id, why))
			continue
		}
		ok = append(ok, fmt.Sprintf(`{"Id":%q,"MessageId":"m"}`, id))
	}
	return reply(http.StatusOK, `{"Successful":[`+strings.Join(ok, ",")+`],"Failed":[`+strings.Join(bad, ",")+`]}`)
}

// openAnswers answers what opening a queue asks.
func openAnswers(c call) *http.Response {
	switch c.Action {
	case "GetQueueUrl":
		return reply(http.StatusOK, `{"QueueUrl":"http://sqs.test/1/queue"}`)
	case "GetQueueAttributes":
		return reply(http.StatusOK, `{"Attributes":{"VisibilityTimeout":"30","MaximumMessageSize":"1048576"}}`)
	}
	return nil
}

func wantCalls(t *testing.T, w *wire, action string, want int) {
	t.Helper()
	if got := w.count(action); got != want {
		t.Errorf("%d requests %s: want %d", got, action, want)
	}
}
