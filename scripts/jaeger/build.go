package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
)

// The release of Jaeger that is built, and the checksum of its module.
const (
	jaegerModule  = "github.com/jaegertracing/jaeger"
	jaegerVersion = "v1.76.0"
	jaegerSum     = "h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g="
)

// buildJaeger returns the path of Jaeger's all-in-one program. It is built once
// and kept in the user's cache directory.
func buildJaeger(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("build Jaeger: %w", err)
	}
	b := builder{dir: filepath.Join(cache, "callfleet", "jaeger-"+jaegerVersion)}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return "", fmt.Errorf("build Jaeger: %w", err)
	}
	unlock, err := b.lock()
	if err != nil {
		return "", fmt.Errorf("build Jaeger: %w", err)
	}
	defer unlock()
	program := filepath.Join(b.dir, "jaeger")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("build Jaeger: %w", err)
	}
	fmt.Printf("jaeger: building Jaeger %s into %s, once; this takes some minutes\n", jaegerVersion, b.dir)
	if err := b.build(ctx, program); err != nil {
		return "", fmt.Errorf("build Jaeger %s in %s: %w", jaegerVersion, b.dir, err)
	}
	return program, nil
}

// builder builds in a directory outside of this repository.
type builder struct{ dir string }

// lock keeps a second run out until unlock.
func (b builder) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(b.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// module is what "go mod download -json" tells of a module.
type module struct{ Dir, GoMod, Sum, GoModSum, Error string }

// build builds in a module that has Jaeger's own go.mod and go.sum and requires
// Jaeger besides: the build is that of Jaeger's release, with every checksum
// known. Were the versions chosen anew, other dependencies would be asked for,
// whose checksums nobody has.
func (b builder) build(ctx context.Context, program string) error {
	out, err := b.run(ctx, "mod", "download", "-json", jaegerModule+"@"+jaegerVersion)
	var m module
	if jsonErr := json.Unmarshal(out, &m); err == nil && jsonErr != nil {
		err = fmt.Errorf("read the answer of go mod download: %w", jsonErr)
	}
	if err != nil {
		return fmt.Errorf("%w %s", err, m.Error)
	}
	if m.Sum != jaegerSum {
		return fmt.Errorf("the module has the checksum %s, want %s", m.Sum, jaegerSum)
	}
	if err := b.writeModule(m); err != nil {
		return err
	}
	// Renamed at the end: an interrupted build leaves no program behind.
	if _, err := b.run(ctx, "build", "-trimpath", "-buildvcs=false", "-o", "jaeger.new", jaegerModule+"/cmd/all-in-one"); err != nil {
		return err
	}
	return os.Rename(filepath.Join(b.dir, "jaeger.new"), program)
}

var moduleLine = regexp.MustCompile(`(?m)^module .*$`)

func (b builder) writeModule(m module) error {
	goMod, err := os.ReadFile(m.GoMod)
	if err != nil {
		return err
	}
	goSum, err := os.ReadFile(filepath.Join(m.Dir, "go.sum"))
	if err != nil {
		return err
	}
	goMod = moduleLine.ReplaceAll(goMod, []byte("module callfleet.invalid/jaeger"))
	goMod = fmt.Appendf(goMod, "\nrequire %s %s\n", jaegerModule, jaegerVersion)
	goSum = fmt.Appendf(goSum, "%[1]s %[2]s %[3]s\n%[1]s %[2]s/go.mod %[4]s\n", jaegerModule, jaegerVersion, m.Sum, m.GoModSum)
	return errors.Join(os.WriteFile(filepath.Join(b.dir, "go.mod"), goMod, 0o600), os.WriteFile(filepath.Join(b.dir, "go.sum"), goSum, 0o600))
}

// run runs the go command in the builder's directory.
func (b builder) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.dir
	// A workspace or flags of the caller are meant for this repository.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("go %s: %w\n%s", args[0], err, exit.Stderr)
	}
	return out, err
}
