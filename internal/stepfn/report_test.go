package stepfn_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"callfleet/internal/call"
	"callfleet/internal/stepfn"
	"callfleet/internal/stepfn/stepfntest"
)

// direct calls a handler without a network in between, for the clock of a
// bubble stands still while there is traffic on one.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// waiting is a server that has a task t. It is made outside of a bubble, for it
// listens on a network.
func waiting(t *testing.T) *stepfntest.Server {
	t.Helper()
	s := stepfntest.New(t)
	s.AddTask("t")
	return s
}

func client(t *testing.T, h http.Handler, o stepfn.Options) *stepfn.Client {
	t.Helper()
	o.Endpoint, o.StateMachine, o.Transport = "http://stepfunctions.test", stepfntest.Machine, direct{h}
	c, err := stepfn.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReportsArePacedByOperation(t *testing.T) {
	t.Parallel()
	s := waiting(t)
	synctest.Test(t, func(t *testing.T) {
		c := client(t, s, stepfn.Options{ReportRate: 50})
		began := time.Now()
		var all sync.WaitGroup
		for range 30 { // 5 are free, a tenth of a second's
			all.Go(func() { _ = c.Succeed(t.Context(), "t", []byte("{}")) })
		}
		synctest.Wait()
		if err := c.Heartbeat(t.Context(), "t"); !errors.Is(err, call.ErrTaskGone) {
			t.Errorf("got %v, want the answer to a heartbeat", err)
		}
		_ = c.Fail(t.Context(), "t", &call.Failure{Name: call.Timeout})
		if d := time.Since(began); d != 0 {
			t.Errorf("what has another quota waited %s", d)
		}
		all.Wait()
		if d := time.Since(began); d < 500*time.Millisecond || d > 510*time.Millisecond {
			t.Errorf("30 reports at 50 a second took %s", d)
		}
	})
}

func TestThrottledReportsAreSentAgain(t *testing.T) {
	t.Parallel()
	s := waiting(t)
	synctest.Test(t, func(t *testing.T) {
		c := client(t, s, stepfn.Options{})
		s.Fail("SendTaskSuccess", "ThrottlingException", http.StatusBadRequest, 4)
		began := time.Now()
		if err := c.Succeed(t.Context(), "t", []byte(`{"a":1}`)); err != nil {
			t.Fatal(err)
		}
		if n, d := s.Calls("SendTaskSuccess"), time.Since(began); n != 5 || d < time.Second {
			t.Errorf("%d calls in %s, want 5 with pauses that grow", n, d)
		}
		if got := s.Task("t"); got.Output != `{"a":1}` {
			t.Errorf("got output %q", got.Output)
		}
	})
}

func TestThrottledReportEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := waiting(t)
	synctest.Test(t, func(t *testing.T) {
		c := client(t, s, stepfn.Options{ReportRate: 100})
		s.Fail("SendTaskSuccess", "ThrottlingException", http.StatusBadRequest, 1000)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := c.Succeed(ctx, "t", []byte("{}"))
		if !errors.Is(err, stepfn.ErrThrottled) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrThrottled and the deadline", err)
		}
		gone, cancelGone := context.WithCancel(t.Context())
		cancelGone()
		if err := c.Succeed(gone, "t", []byte("{}")); errors.Is(err, stepfn.ErrThrottled) || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %v, want only that", err)
		}
	})
}

// All that many reporters make of a minute of throttling is few requests, and
// after it they are done soon.
func TestThrottlingMakesNoStorm(t *testing.T) {
	t.Parallel()
	s := waiting(t)
	synctest.Test(t, func(t *testing.T) {
		c := client(t, s, stepfn.Options{ReportRate: 500})
		const reporters = 100
		for i := range reporters {
			s.AddTask(fmt.Sprint("t", i))
		}
		s.Fail("SendTaskSuccess", "ThrottlingException", http.StatusBadRequest, 1_000_000)
		var all sync.WaitGroup
		for i := range reporters {
			all.Go(func() {
				if err := c.Succeed(t.Context(), call.TaskToken(fmt.Sprint("t", i)), []byte("{}")); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Minute)
		if n := s.Calls("SendTaskSuccess"); n > 12*reporters {
			t.Errorf("%d calls in a minute of throttling for %d reports", n, reporters)
		}
		s.Recover("SendTaskSuccess")
		began := time.Now()
		all.Wait()
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("it took %s after the throttling", d)
		}
	})
}

func TestHeartbeatsGiveWay(t *testing.T) {
	t.Parallel()
	s := waiting(t)
	synctest.Test(t, func(t *testing.T) {
		c := client(t, s, stepfn.Options{ReportRate: 10})
		s.Fail("SendTaskHeartbeat", "ThrottlingException", http.StatusBadRequest, 1)
		began := time.Now()
		if err := c.Heartbeat(t.Context(), "t"); !errors.Is(err, stepfn.ErrThrottled) || time.Since(began) != 0 {
			t.Errorf("throttled: got %v after %s, want ErrThrottled at once", err, time.Since(began))
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		busy := 0
		for range 50 { // at 5 a second
			all.Go(func() {
				if err := c.Heartbeat(t.Context(), "t"); errors.Is(err, stepfn.ErrThrottled) {
					mu.Lock()
					defer mu.Unlock()
					busy++
				} else if err != nil && !errors.Is(err, call.ErrTaskGone) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if err := c.Succeed(t.Context(), "t", []byte("{}")); err != nil || time.Since(began) != 0 {
			t.Errorf("a report beside them: got %v after %s, want nil at once", err, time.Since(began))
		}
		all.Wait()
		if d := time.Since(began); busy < 40 || d > time.Second {
			t.Errorf("%d of 50 heartbeats gave way within %s", busy, d)
		}
	})
}

func TestThrottlingIsMeasured(t *testing.T) {
	t.Parallel()
	s := waiting(t)
	synctest.Test(t, func(t *testing.T) {
		reader := sdkmetric.NewManualReader()
		c := client(t, s, stepfn.Options{ReportRate: 100, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
		for _, op := range []string{"StartExecution", "SendTaskFailure", "SendTaskHeartbeat"} {
			s.Fail(op, "ThrottlingException", http.StatusBadRequest, 1)
		}
		_ = c.Start(t.Context(), "run-1", []byte("{}"))
		_ = c.Heartbeat(t.Context(), "t")
		if err := c.Fail(t.Context(), "t", &call.Failure{Name: call.Timeout}); err != nil {
			t.Error(err)
		}
		got := collect(t, reader)
		want := map[string]float64{
			"throttled StartExecution": 1, "throttled SendTaskSuccess": 0, "throttled SendTaskFailure": 1, "throttled SendTaskHeartbeat": 1,
			"limit SendTaskSuccess": 100, "limit SendTaskFailure": 50, "limit SendTaskHeartbeat": 50,
		}
		for name, v := range want {
			if g, ok := got[name]; !ok || g != v {
				t.Errorf("%s: got %v (%t), want %v", name, g, ok, v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("got %v", got)
		}
	})
}

// collect returns the measurements by name and operation.
func collect(t *testing.T, reader *sdkmetric.ManualReader) map[string]float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					v, _ := p.Attributes.Value("operation")
					out["throttled "+v.AsString()] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					v, _ := p.Attributes.Value("operation")
					out["limit "+v.AsString()] = p.Value
				}
			}
		}
	}
	return out
}
