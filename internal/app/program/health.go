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

// What HealthCheck asks for.
const (
	// Ready is for a server that others wait for.
	Ready = "/readyz"
	// Live is for a program that is ended when its health check fails: one that
	// waits for its broker must not be.
	Live = "/livez"
)

// HealthCheck asks the program that listens on the address how it is, Ready or
// Live, and returns the exit code: 0, or 1 with the reason on stderr.
func HealthCheck(ctx context.Context, listens config.Address, path string, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if err := ask(ctx, "http://"+reachable(listens)+path); err != nil {
		fmt.Fprintln(stderr, err)
		return ExitFailed
	}
	return ExitOK
}

func ask(ctx context.Context, url string) error {
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
