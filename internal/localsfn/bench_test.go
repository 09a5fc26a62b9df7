package localsfn_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"callfleet/internal/queue"
)

// passChain is a state machine of n Pass states.
func passChain(n int) string {
	var b strings.Builder
	b.WriteString(`{"StartAt":"S1","States":{`)
	for i := 1; i <= n; i++ {
		next := `"End":true`
		if i < n {
			next = fmt.Sprintf(`"Next":"S%d"`, i+1)
		}
		fmt.Fprintf(&b, `"S%d":{"Type":"Pass",%s}`, i, next)
		if i < n {
			b.WriteByte(',')
		}
	}
	b.WriteString(`}}`)
	return b.String()
}

// BenchmarkPassChain starts executions of eleven Pass states through the HTTP
// API; each is in the log when its start is answered.
func BenchmarkPassChain(b *testing.B) {
	f := newFixture(b, nil)
	arn := f.create(b, "chain", passChain(11))
	var n atomic.Int64
	b.SetParallelism(32)
	defer measure(b)()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.post(b, "StartExecution", fmt.Sprintf(`{"stateMachineArn":%q,"name":"x-%d","input":"{\"a\":1,\"b\":[1,2,3]}"}`, arn, n.Add(1)), nil)
		}
	})
}

// measure starts a measurement and returns what ends it: executions per
// second, and the processor time of one, client included, which also tells on
// a machine that has other work.
func measure(b *testing.B) func() {
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begun := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	return func() {
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "executions/s")
		b.ReportMetric(float64((cpu()-begun).Microseconds())/float64(b.N), "cpu-µs/op")
	}
}

// callWorkflow is the shape of the fleet's own state machine.
const callWorkflow = `{"StartAt":"Fetch","States":{
 "Fetch":{"Type":"Task","Resource":"arn:aws:states:::dynamodb:getItem","Parameters":{"TableName":"API_Template_Table","Key":{"PK":{"S.$":"$.templateName"},"SK":{"S.$":"$.method"}}},"ResultPath":"$.template","Next":"Call"},
 "Call":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage.waitForTaskToken","TimeoutSeconds":900,"HeartbeatSeconds":60,
  "Parameters":{"QueueUrl":"tasks","MessageBody":{"taskToken.$":"$$.Task.Token","id.$":"$$.Execution.Name","template.$":"$.template.Item","request.$":"$$.Execution.Input"}},"ResultPath":"$.api","Next":"Status"},
 "Status":{"Type":"Choice","Choices":[{"Variable":"$.api.statusCode","NumericEquals":200,"Next":"Good"}],"Default":"Bad"},
 "Good":{"Type":"Succeed","OutputPath":"$.api"},
 "Bad":{"Type":"Fail","Error":"Bad"}}}`

// BenchmarkTaskWorkflow runs a getItem and a callback per execution: start and
// answer come through the HTTP API, the worker answers at once. It counts
// executions whose end was reported on the feed.
func BenchmarkTaskWorkflow(b *testing.B) {
	b.Run("http", func(b *testing.B) { benchmarkTaskWorkflow(b, false) })
	b.Run("in-process", func(b *testing.B) { benchmarkTaskWorkflow(b, true) })
}

func benchmarkTaskWorkflow(b *testing.B, inProcess bool) {
	tasks := make(chan string, 1<<16)
	ended := make(chan struct{}, 1<<16)
	f := newFixture(b, func(o *options) {
		o.tasks = publisherFunc(func(_ context.Context, msgs ...queue.Message) error {
			for _, m := range msgs {
				var body struct {
					Token string `json:"taskToken"`
				}
				if err := json.Unmarshal(m.Body, &body); err != nil {
					return err
				}
				tasks <- body.Token
			}
			return nil
		})
		o.results = publisherFunc(func(_ context.Context, msgs ...queue.Message) error {
			for range msgs {
				ended <- struct{}{}
			}
			return nil
		})
	})
	if inProcess {
		f.http = &http.Client{Transport: f.server.Transport()}
	}
	arn := f.create(b, "call-api", callWorkflow)
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for token := range tasks {
				f.post(b, "SendTaskSuccess", `{"taskToken":"`+token+`","output":"{\"statusCode\":200,\"body\":{\"ok\":true},\"attempts\":1}"}`, nil)
			}
		})
	}
	slots := make(chan struct{}, 512)
	var done sync.WaitGroup
	done.Go(func() {
		for range b.N {
			<-ended
			<-slots
		}
	})
	stop := measure(b)
	var starters sync.WaitGroup
	next := make(chan int)
	for range 32 {
		starters.Go(func() {
			for i := range next {
				f.post(b, "StartExecution", fmt.Sprintf(`{"stateMachineArn":%q,"name":"r-%d","input":"{\"templateName\":\"get\",\"method\":\"GET\",\"params\":{\"id\":%d}}"}`, arn, i, i), nil)
			}
		})
	}
	for i := range b.N {
		slots <- struct{}{}
		next <- i
	}
	close(next)
	starters.Wait()
	done.Wait()
	stop()
	close(tasks)
	workers.Wait()
}

// post makes one call of the API and reads its answer.
func (f *fixture) post(tb testing.TB, op, body string, into any) {
	req, err := http.NewRequest(http.MethodPost, f.url, bytes.NewReader([]byte(body)))
	if err != nil {
		tb.Error(err)
		return
	}
	req.Header["Content-Type"] = []string{"application/x-amz-json-1.0"}
	req.Header["X-Amz-Target"] = []string{"AWSStepFunctions." + op}
	resp, err := f.http.Do(req)
	if err != nil {
		tb.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		tb.Errorf("%s: status %d: %s (%v)", op, resp.StatusCode, answer, err)
		return
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			tb.Errorf("%s: %v", op, err)
		}
	}
}
