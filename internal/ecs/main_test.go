package ecs

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"callfleet/internal/ecs/ecstest"
	"callfleet/internal/evidence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// getenv reads variables like those of a process.
func getenv(variables map[string]string) func(string) string {
	return func(name string) string { return variables[name] }
}

// direct carries requests to a handler without a network, so that they fit into
// a synctest bubble.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// inBubble is a task whose agent needs no network.
func inBubble(agent http.Handler) *Environment {
	e := FromEnv(getenv(ecstest.Environment("http://agent")))
	e.client.Transport = direct{agent}
	return e
}

// record is a log that can be counted.
type record struct {
	mu  sync.Mutex
	all bytes.Buffer // guarded by mu
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Write(p)
}

func (r *record) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.all.String(), text)
}

// bundle is a protection that runs against an agent.
type bundle struct {
	agent *ecstest.Agent
	p     *Protection
	log   *record
	stop  func() // and waits until it has stopped
}

// setup runs a protection in the bubble of t until the test ends.
func setup(t *testing.T, o ProtectionOptions) *bundle {
	t.Helper()
	b := &bundle{agent: ecstest.New(), log: &record{}}
	o.Logger = evidence.LoggerTo(t, slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	b.p = inBubble(b.agent).Protection(o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.p.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

// asked checks the requests so far, once all is quiet.
func (b *bundle) asked(t *testing.T, want string) {
	t.Helper()
	synctest.Wait()
	if got := b.agent.Sequence(); got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
}
