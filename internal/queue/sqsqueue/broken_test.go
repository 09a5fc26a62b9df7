package sqsqueue_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"callfleet/internal/awstest"
)

// What makes the test program run the suite on a queue with a fault.
const (
	faultEnv = "SQSQUEUE_TEST_FAULT"
	urlEnv   = "SQSQUEUE_TEST_URL" // of the emulator
)

// faults break the way to SQS, each a promise of the seam: the clause is the
// one that must find it.
var faults = map[string]struct {
	clause string
	answer func(next http.RoundTripper) func(call) *http.Response
}{
	"deletes do nothing": {
		"a published message is received once and gone after ack",
		func(http.RoundTripper) func(call) *http.Response { return swallow("DeleteMessageBatch") },
	},
	"visibility does not change": {
		"extend keeps the lease",
		func(http.RoundTripper) func(call) *http.Response { return swallow("ChangeMessageVisibilityBatch") },
	},
	"messages go twice": {
		"a second message with the same id is dropped",
		func(next http.RoundTripper) func(call) *http.Response {
			return func(c call) *http.Response {
				if c.Action == "SendMessageBatch" {
					forward(next, c, c.Body)
				}
				return nil
			}
		},
	},
	"receipts leave nothing leased": {
		"many consumers share the messages",
		func(next http.RoundTripper) func(call) *http.Response {
			return func(c call) *http.Response {
				if c.Action == "ReceiveMessage" {
					return forward(next, c, bytes.Replace(c.Body, []byte(`"VisibilityTimeout":60`), []byte(`"VisibilityTimeout":0`), 1))
				}
				return nil
			}
		},
	},
	"attributes get lost": {
		"headers and group come as sent",
		func(next http.RoundTripper) func(call) *http.Response {
			return func(c call) *http.Response {
				if c.Action == "ReceiveMessage" {
					return forward(next, c, bytes.Replace(c.Body, []byte(`["All"]`), []byte(`["None"]`), 1))
				}
				return nil
			}
		},
	},
	"half of a batch is dropped": {
		"a large batch is published whole",
		func(next http.RoundTripper) func(call) *http.Response {
			return func(c call) *http.Response {
				if ids := c.entries(); c.Action == "SendMessageBatch" && len(ids) > 1 {
					forward(next, c, firstHalf(c.Body))
					return taken(c, nil)
				}
				return nil
			}
		},
	},
	"dead letters are dropped": {
		"reject moves the message to the dead-letter queue",
		func(http.RoundTripper) func(call) *http.Response {
			return func(c call) *http.Response {
				if c.Action == "SendMessage" {
					return reply(http.StatusOK, `{"MessageId":"m"}`)
				}
				return nil
			}
		},
	},
}

// swallow says that a batch was taken, which it was not.
func swallow(action string) func(call) *http.Response {
	return func(c call) *http.Response {
		if c.Action == action {
			return taken(c, nil)
		}
		return nil
	}
}

// forward sends a request with another body.
func forward(next http.RoundTripper, c call, body []byte) *http.Response {
	r := c.Request.Clone(c.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res, err := next.RoundTrip(r)
	if err != nil {
		return reply(http.StatusBadGateway, "")
	}
	return res
}

func firstHalf(body []byte) []byte {
	var in map[string]json.RawMessage
	var entries []json.RawMessage
	_ = json.Unmarshal(body, &in)
	_ = json.Unmarshal(in["Entries"], &entries)
	in["Entries"], _ = json.Marshal(entries[:len(entries)/2])
	body, _ = json.Marshal(in)
	return body
}

// faulty is the emulator behind the fault that this process was started with.
func faulty() (cfg aws.Config, ok bool) {
	f, ok := faults[os.Getenv(faultEnv)]
	if !ok {
		return aws.Config{}, false
	}
	w, cfg := tap(awstest.Emulator{URL: os.Getenv(urlEnv)})
	w.answer = f.answer(w.next)
	return cfg, true
}

// TestBrokenQueuesFail runs clauses of the suite on this package over a way to
// SQS that breaks them: in a process of its own, for its tests must fail.
func TestBrokenQueuesFail(t *testing.T) {
	t.Parallel()
	if _, ok := faulty(); ok {
		t.Fatal("this process runs the suite only")
	}
	url := awstest.Fauxqs(t).URL
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test := "TestConformance/fauxqs/" + strings.ReplaceAll(f.clause, " ", "_")
			run := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.timeout=1m", "-test.run=^"+strings.ReplaceAll(test, "/", "$/^")+"$")
			run.Env = append(os.Environ(), faultEnv+"="+name, urlEnv+"="+url)
			run.WaitDelay = 5 * time.Second
			out, err := run.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: "+test)) || bytes.Contains(out, []byte("panic:")) {
				t.Errorf("%v: want %q to fail:\n%s", err, f.clause, out)
			}
		})
	}
}
