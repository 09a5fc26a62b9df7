// Command secretscan runs the tests and then searches all that they made the
// product show, and all that they printed, for the secrets they gave to it:
//
//	go run ./scripts/secretscan go test -race ./...
//
// It exits with 1 when a test fails, when a secret is found, and when there was
// nothing to search or the search does not find what was put there for it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"callfleet/internal/evidence"
	"callfleet/internal/evidence/search"
	"callfleet/internal/secret/secrettest"
)

func main() {
	keep := flag.String("keep", "", "directory to keep the evidence in, with the secrets; default one that is removed unless a secret is found")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, *keep, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "secretscan:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, command []string) error {
	if len(command) < 2 || command[1] != "test" {
		return fmt.Errorf(`want a command "go test …", got %q`, command)
	}
	temporary := dir == ""
	if temporary {
		var err error
		if dir, err = os.MkdirTemp("", "callfleet-evidence-"); err != nil {
			return err
		}
	} else if err := empty(dir); err != nil {
		return err
	}
	dir, err := filepath.Abs(dir) // tests run elsewhere
	if err != nil {
		return err
	}
	failed := test(ctx, dir, command)
	began := time.Now()
	report, err := search.Directory(dir, secrettest.Marker)
	if err != nil {
		return err
	}
	report.Print(os.Stdout)
	fmt.Printf("the search took %s\n", time.Since(began).Round(time.Millisecond))
	switch {
	case len(report.Leaks) > 0:
		fmt.Println("the evidence is in", dir)
	case temporary:
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if failed != nil {
		return fmt.Errorf("run tests: %w", failed)
	}
	return report.Err()
}

// empty makes a directory that must not have anything in it: what was left by
// another run would be searched.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty", dir)
	}
	return err
}

// test runs "go test", shows what it says as if it ran by itself, and keeps all
// that the tests print.
func test(ctx context.Context, dir string, command []string) error {
	output, err := os.Create(filepath.Join(dir, string(evidence.Output)+"-test.log"))
	if err != nil {
		return err
	}
	args := append([]string{"test", "-json"}, command[2:]...)
	cmd := exec.CommandContext(ctx, command[0], args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), evidence.Variable+"="+dir)
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, io.MultiWriter(os.Stderr, output)
	shown := make(chan error, 1)
	go func() { shown <- show(os.Stdout, output, read) }()
	failed := cmd.Run()
	_ = write.Close() // never fails
	for _, err := range []error{<-shown, output.Close()} {
		if failed == nil {
			failed = err
		}
	}
	return failed
}
