package program

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"callfleet/internal/config"
)

func TestHealthCheck(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status, code int
		says         string
	}{
		"ready":     {http.StatusOK, ExitOK, ""},
		"not ready": {http.StatusServiceUnavailable, ExitFailed, "503 Service Unavailable: broker is away"},
		"not ours":  {http.StatusNotFound, ExitFailed, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" {
					t.Errorf("asked %s, want /readyz", r.URL.Path)
				}
				w.WriteHeader(row.status)
				_, _ = w.Write([]byte("broker is away"))
			}))
			t.Cleanup(srv.Close)
			_, port, _ := strings.Cut(strings.TrimPrefix(srv.URL, "http://"), ":")
			for _, host := range []string{"127.0.0.1", "0.0.0.0", "[::]", ""} {
				var says bytes.Buffer
				if code := HealthCheck(t.Context(), config.Address(host+":"+port), Ready, &says); code != row.code || !strings.Contains(says.String(), row.says) {
					t.Errorf("listens on %s: exit code %d, %q; want %d, %q", host, code, &says, row.code, row.says)
				}
			}
		})
	}
}

func TestHealthCheckOfAProgramThatIsGone(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	addr := config.Address(strings.TrimPrefix(srv.URL, "http://"))
	srv.Close()
	var says bytes.Buffer
	if code := HealthCheck(t.Context(), addr, Ready, &says); code != ExitFailed || !strings.Contains(says.String(), "does not run") {
		t.Errorf("exit code %d, %q; want %d and the reason", code, &says, ExitFailed)
	}
}
