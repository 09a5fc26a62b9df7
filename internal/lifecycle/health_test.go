package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec
}

func TestHealthFollowsTheGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		var broken atomic.Bool
		queue := b.service("queue")
		queue.Ready = func(context.Context) error {
			if broken.Load() {
				return errors.New("connection refused")
			}
			return nil
		}
		release := make(chan struct{})
		b.Add(queue, Service{Name: "calls", Run: func(ctx context.Context) error {
			<-ctx.Done()
			<-release
			return nil
		}})
		h := b.HealthHandler(http.NotFoundHandler())
		steps := []struct {
			name   string
			do     func()
			status int
			want   Readiness
		}{
			{"before run", func() {}, 503, Readiness{false, Starting, []Check{{"queue", StateWaiting, ""}, {"calls", StateWaiting, ""}}}},
			{"running", func() { b.start(t.Context()) }, 200, Readiness{true, Ready, []Check{{"queue", StateReady, ""}, {"calls", StateReady, ""}}}},
			{"broken", func() { broken.Store(true) }, 503,
				Readiness{false, Ready, []Check{{"queue", StateFailing, "connection refused"}, {"calls", StateReady, ""}}}},
			{"mended", func() { broken.Store(false) }, 200, Readiness{true, Ready, []Check{{"queue", StateReady, ""}, {"calls", StateReady, ""}}}},
			{"draining", func() { b.signals <- os.Interrupt; synctest.Wait() }, 503,
				Readiness{false, Draining, []Check{{"queue", StateReady, ""}, {"calls", StateStopping, ""}}}},
			{"stopped", func() { close(release); <-b.result }, 503,
				Readiness{false, Stopped, []Check{{"queue", StateStopped, ""}, {"calls", StateStopped, ""}}}},
		}
		for _, s := range steps {
			s.do()
			rec := get(t, h, "/readyz")
			var got Readiness
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
				t.Fatalf("%s: decode %q: %v", s.name, rec.Body, err)
			}
			if rec.Code != s.status {
				t.Errorf("%s: /readyz = %d, want %d", s.name, rec.Code, s.status)
			}
			wantText, _ := json.Marshal(s.want)
			if gotText, _ := json.Marshal(got); string(gotText) != string(wantText) {
				t.Errorf("%s: /readyz says\n  %s\nwant\n  %s", s.name, gotText, wantText)
			}
			if rec := get(t, h, "/livez"); rec.Code != http.StatusOK {
				t.Errorf("%s: /livez = %d, want 200", s.name, rec.Code)
			}
		}
	})
}

func TestSlowReadyCheckIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, Options{})
		var asked atomic.Bool
		slow := b.service("slow")
		slow.Ready = func(ctx context.Context) error {
			if !asked.Swap(true) {
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}
		b.Add(slow)
		ctx, cancel := context.WithCancel(t.Context())
		b.start(ctx)
		if got := b.Readiness(ctx); got.Ready || got.Checks[0].State != StateFailing {
			t.Errorf("readiness = %+v, want slow failing", got)
		}
		cancel()
		<-b.result
	})
}

func TestHealthHandlerServesMetricsAndNothingElse(t *testing.T) {
	t.Parallel()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("calls 1\n")) })
	for name, row := range map[string]struct {
		metrics http.Handler
		path    string
		want    int
	}{
		"metrics":    {metrics, "/metrics", 200},
		"no metrics": {nil, "/metrics", 404},
		"other":      {metrics, "/", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if rec := get(t, NewGroup(Options{}).HealthHandler(row.metrics), row.path); rec.Code != row.want {
				t.Errorf("GET %s = %d, want %d", row.path, rec.Code, row.want)
			}
		})
	}
}
