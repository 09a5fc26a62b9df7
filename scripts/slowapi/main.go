// Command slowapi puts 10,000 calls at once on one worker, against an API that
// answers after 20 seconds, and reports the worker's memory and whether every
// call completed on its first attempt. It exits with 1 when one did not, or
// when the worker grew to 300 MB.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"callfleet/scripts/internal/fleet"
)

const limit = 300 << 20

func main() {
	bin := flag.String("bin", "bin", "folder of the programs")
	calls := flag.Int("calls", 10_000, "number of calls, and of slots")
	delay := flag.Duration("delay", 20*time.Second, "how long the API takes")
	flag.Parse()
	if err := run(context.Background(), *bin, *calls, *delay); err != nil {
		fmt.Fprintln(os.Stderr, "slow-api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, calls int, delay time.Duration) error {
	f, err := fleet.New(bin)
	if err != nil {
		return err
	}
	defer os.RemoveAll(f.Dir)
	api, err := fleet.NewCountingAPI(delay)
	if err != nil {
		return err
	}
	defer api.Close()
	server, err := f.StepFunctions(ctx)
	if err != nil {
		return err
	}
	defer server.Stop()
	worker, err := f.Worker(ctx, "worker", "--slots", fmt.Sprint(calls), "--max-backlog", fmt.Sprint(calls), "--http-timeout", "40s")
	if err != nil {
		return err
	}
	defer worker.Stop()
	if err := prepare(f, api.Addr, calls); err != nil {
		return err
	}
	start := time.Now()
	code, err := f.Run("run", "calls.jsonl", "--window", fmt.Sprint(calls))
	if err != nil {
		return err
	}
	took := time.Since(start)
	now, peak, err := worker.RSS()
	if err != nil {
		return err
	}
	made, keys, _ := api.Counts()
	fmt.Printf("calls %d, API took %s, run took %s, exit code %d\n", calls, delay, took.Round(time.Millisecond), code)
	fmt.Printf("called %d (keys %d), missed heartbeats or retries: %d\n", made, keys, made-keys)
	fmt.Printf("worker resident: peak %d MB, at the end %d MB (limit %d MB)\n", peak>>20, now>>20, limit>>20)
	switch {
	case code != 0:
		return fmt.Errorf("the run failed:\n%s", f.Log("producer"))
	case made != calls || keys != calls:
		return fmt.Errorf("%d calls were made for %d requests", made, calls)
	case peak >= limit:
		return fmt.Errorf("the worker grew to %d MB", peak>>20)
	}
	return nil
}

func prepare(f *fleet.Fleet, addr string, calls int) error {
	template := fmt.Sprintf(`{"name":"slow","method":"GET","url":"http://%s/slow","timeoutSeconds":40}`, addr)
	path := filepath.Join(f.Dir, "slow.GET.json")
	if err := os.WriteFile(path, []byte(template), 0o600); err != nil {
		return fmt.Errorf("write template: %w", err)
	}
	lines := strings.Repeat(`{"templateName":"slow","method":"GET","params":{}}`+"\n", calls)
	if err := os.WriteFile(filepath.Join(f.Dir, "calls.jsonl"), []byte(lines), 0o600); err != nil {
		return fmt.Errorf("write calls: %w", err)
	}
	if code, err := f.Run("template", "put", path); err != nil || code != 0 {
		return fmt.Errorf("put template: exit code %d, %v\n%s", code, err, f.Log("producer"))
	}
	return nil
}
