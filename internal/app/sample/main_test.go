package sample

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func input(addr string, args ...string) config.Input {
	vars := map[string]string{"CALLFLEET_SAMPLE_LISTEN": addr, "OTEL_SDK_DISABLED": "true"}
	return config.Input{Args: args, Getenv: func(name string) string { return vars[name] }, Stdout: io.Discard, Version: "test"}
}

// lines passes on what a program logs.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

func TestServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	if code := Main(t.Context(), input(addr, "--health-check"), io.Discard); code != 1 {
		t.Errorf("health check of a silent server: exit code %d, want 1", code)
	}
	_ = lis.Close() // from here on the address is the program's
	ctx, cancel := context.WithCancel(t.Context())
	log, ended := make(lines, 100), make(chan int, 1)
	go func() { ended <- Main(ctx, input(addr), log) }()
	for up := false; !up; {
		select {
		case line := <-log:
			up = strings.Contains(line, "sample API is ready")
		case code := <-ended:
			t.Fatalf("ended with exit code %d", code)
		case <-time.After(10 * time.Second):
			t.Fatal("not ready in 10 s")
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]int{"/anything": 200, "/status/404": 404, "/livez": 200, "/readyz": 200, "/metrics": 200} {
		resp, err := client.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, resp.StatusCode, want)
		}
	}
	if code := Main(t.Context(), input(addr, "--health-check"), io.Discard); code != 0 {
		t.Errorf("health check: exit code %d, want 0", code)
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("stopped with exit code %d, want 0", code)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	if code := Main(t.Context(), input("nowhere"), io.Discard); code != config.ExitUsage {
		t.Errorf("exit code %d, want %d", code, config.ExitUsage)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	if code := Main(t.Context(), input(lis.Addr().String()), io.Discard); code != 1 {
		t.Errorf("on a taken address: exit code %d, want 1", code)
	}
}
