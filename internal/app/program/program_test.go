package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"callfleet/internal/app/version"
	"callfleet/internal/config"
	"callfleet/internal/evidence"
	"callfleet/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUsage(t *testing.T) {
	t.Parallel()
	mistake := &config.UsageError{Program: "worker", Command: "worker", Problems: []config.Problem{{Setting: "--slots", Message: "odd"}}}
	for name, row := range map[string]struct {
		err  error
		code int
		text string
	}{
		"help":    {config.ErrHelp, 0, ""},
		"mistake": {mistake, 2, "worker: --slots: odd\nRun \"worker --help\" for what can be set.\n"},
		"wrapped": {fmt.Errorf("parse: %w", mistake), 2, "--slots: odd"},
		"other":   {errors.New("odd"), 1, "odd\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if code := Usage(row.err, &b); code != row.code || !strings.Contains(b.String(), row.text) || row.text == "" && b.Len() > 0 {
				t.Errorf("exit code %d, want %d and %q: %q", code, row.code, row.text, b.String())
			}
		})
	}
}

func TestRuntimeLogsWhereItIsTold(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	rt, err := Start(t.Context(), Options{Name: "worker", Log: config.Log{Level: slog.LevelWarn, Format: "text"}, Getenv: func(string) string { return "" }, Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	rt.Logger.Info("not seen")
	if code := rt.Exit(nil); code != 0 || log.Len() != 0 {
		t.Errorf("exit code %d, log %q", code, log.String())
	}
	if code := rt.Exit(errors.New("odd")); code != 1 || !strings.Contains(log.String(), `msg="stopped by an error" error=odd`) {
		t.Errorf("exit code %d, log %q", code, log.String())
	}
	rt.Close()
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := Input().Version; got == "" || got != version.Running() {
		t.Errorf("version of the input %q, of the binary %q", got, version.Running())
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := lifecycle.ServerOptions{Name: "health", Addr: taken.Addr().String(), Logger: evidence.Logger(t),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
	if _, _, err := Listen(t.Context(), o, false); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("on a taken address: %v", err)
	}
	server, service, err := Listen(t.Context(), o, true)
	if err != nil {
		t.Fatal(err)
	}
	if server.Addr() == o.Addr || !strings.HasPrefix(server.Addr(), "127.0.0.1:") {
		t.Errorf("it listens on %s beside %s", server.Addr(), o.Addr)
	}
	if service.Start != nil {
		t.Error("the service would listen once more")
	}
	if err := service.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	o.Addr = "not an address"
	if _, _, err := Listen(t.Context(), o, true); err == nil {
		t.Error("it listens on what is no address")
	}
}
