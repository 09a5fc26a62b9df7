package program

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"callfleet/internal/config"
)

// healthTimeout is less than that of any container's health check.
const healthTimeout = 2 * time.Second

// HealthCheck asks the program that listens on the address whether it is ready
// and returns the exit code: 0, or 1 with the reason on stderr.
func HealthCheck(ctx context.Context, listens config.Address, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := askReady(ctx, listens); err != nil {
		fmt.Fprintln(stderr, err)
		return ExitFailed
	}
	return ExitOK
}

func askReady(ctx context.Context, listens config.Address) error {
	url := "http://" + reachable(listens) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("check health: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is this machine
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("check health: %w: it does not run, or listens elsewhere", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what came of it is all there is to say
		return fmt.Errorf("check health: %s answers %s: %s", url, resp.Status, text)
	}
	return nil
}

// reachable is where a program that listens on every interface is asked.
func reachable(listens config.Address) string {
	host, port, err := net.SplitHostPort(string(listens))
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return string(listens)
}
