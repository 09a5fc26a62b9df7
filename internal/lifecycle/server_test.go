package lifecycle

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func newServer(t *testing.T, h http.HandlerFunc) *Server {
	t.Helper()
	s, err := NewServer(ServerOptions{Name: "api", Addr: "127.0.0.1:0", Handler: h})
	if err != nil {
		t.Fatalf("NewServer: %v", err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatalf("Listen: %v", err)
	}
	return s
}

// fetch gets url without keeping a connection.
func fetch(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func TestServerReportsPortAndFinishesRequests(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	if strings.HasSuffix(s.Addr(), ":0") {
		t.Errorf("Addr = %s, want the port taken", s.Addr())
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	type answer struct {
		body string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		body, err := fetch(context.WithoutCancel(t.Context()), s.URL())
		answers <- answer{body, err}
	}()
	<-arrived
	cancel()
	close(release)
	if got := <-answers; got.err != nil || got.body != "done" {
		t.Errorf("request in flight got %q, %v, want done", got.body, got.err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if _, err := fetch(t.Context(), s.URL()); err == nil {
		t.Error("server still answers")
	}
}

func TestServerCutsRequestsAtTheDrainDeadline(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	g := NewGroup(Options{Drain: 20 * time.Millisecond})
	g.Add(Service{Name: "api", Run: s.Serve})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- g.Run(ctx) }()
	failed := make(chan error, 1)
	go func() {
		_, err := fetch(context.WithoutCancel(t.Context()), s.URL())
		failed <- err
	}()
	<-arrived
	cancel()
	if err := <-failed; err == nil {
		t.Error("request was answered, want it cut")
	}
	if err := <-result; !errors.Is(err, ErrDrainTimeout) {
		t.Errorf("Run = %v, want ErrDrainTimeout", err)
	}
}

func TestListenOnTakenPortSaysSo(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	s, err := NewServer(ServerOptions{Name: "api", Addr: lis.Addr().String(), Handler: http.NotFoundHandler()})
	if err != nil {
		t.Fatal(err)
	}
	g := NewGroup(Options{})
	g.Add(s.Service())
	if err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "service api: start: listen on "+lis.Addr().String()) {
		t.Errorf("Run = %v, want one that names the address", err)
	}
}

func TestServerAsServiceOfAGroup(t *testing.T) {
	t.Parallel()
	s, err := NewServer(ServerOptions{Name: "api", Addr: "127.0.0.1:0", Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })})
	if err != nil {
		t.Fatal(err)
	}
	g := NewGroup(Options{})
	var body string
	g.Add(s.Service(), Service{Name: "job", Run: func(ctx context.Context) (err error) {
		body, err = fetch(ctx, s.URL())
		return err
	}})
	if err := g.Run(t.Context()); err != nil || body != "hello" {
		t.Errorf("Run = %v, body %q, want hello", err, body)
	}
}

func TestNewServerRefusesBadOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]ServerOptions{
		"no name":    {Addr: "127.0.0.1:0", Handler: http.NotFoundHandler()},
		"no handler": {Name: "x", Addr: "127.0.0.1:0"},
		"no port":    {Name: "x", Addr: "127.0.0.1", Handler: http.NotFoundHandler()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := NewServer(o); err == nil {
				t.Error("NewServer = nil error")
			}
		})
	}
}
