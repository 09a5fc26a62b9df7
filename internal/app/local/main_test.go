package local

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/lifecycle"
	"callfleet/internal/template"
	"callfleet/internal/template/store"
	"callfleet/internal/template/store/filestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T) Options {
	t.Helper()
	caller, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(caller.Close)
	return Options{
		DataDir: evidence.Dir(t), Listen: "127.0.0.1:0",
		Renderer: template.NewRenderer(template.Options{}), Caller: caller, Logger: evidence.Logger(t),
	}
}

func sample(t *testing.T, addr string) *Sample {
	t.Helper()
	s, err := ListenSample(t.Context(), addr, evidence.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs a stack until stop, which returns what its group returned.
func start(t *testing.T, o Options) (s *Stack, stop func() error) {
	t.Helper()
	s, services, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	group := lifecycle.NewGroup(lifecycle.Options{Logger: o.Logger})
	group.Add(services...)
	group.Add(lifecycle.Service{Name: "up", Start: func(context.Context) error { close(up); return nil }})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- group.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case <-up:
	case err := <-ended:
		stopped = true
		cancel()
		t.Fatalf("start: %v", err)
	}
	return s, stop
}

func files(t *testing.T) store.Store {
	t.Helper()
	s, err := filestore.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// api answers with the status that the path names.
func api(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/201":
			w.WriteHeader(http.StatusCreated)
		case "/404":
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, `"answer"`)
	}))
	t.Cleanup(server.Close)
	return server
}

var errOdd = errors.New("odd")
