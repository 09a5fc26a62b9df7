package awstest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// install fills the directory name in the user's cache, if no other process has,
// and returns its path. A directory that is there is complete: it is filled under
// another name.
func install(ctx context.Context, name string, fill func(ctx context.Context, dir string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place to install %s: %w", name, err)
	}
	return installInto(ctx, filepath.Join(cache, "callfleet", name), fill)
}

func installInto(ctx context.Context, dir string, fill func(ctx context.Context, dir string) error) (string, error) {
	if exists(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", fmt.Errorf("wait for another process to install %s: %w", dir, err)
	}
	defer unlock()
	if exists(dir) {
		return dir, nil
	}
	unfinished := dir + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil { // of a process that was killed
		return "", err
	}
	if err := os.Mkdir(unfinished, 0o755); err != nil {
		return "", err
	}
	if err := fill(ctx, unfinished); err != nil {
		return "", fmt.Errorf("install %s: %w", dir, errors.Join(err, os.RemoveAll(unfinished)))
	}
	return dir, os.Rename(unfinished, dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// installPython makes a virtual environment with one package in it. It can be
// moved: its interpreter finds it by its own path.
func installPython(ctx context.Context, dir, requirement string) error {
	if err := command(ctx, "python3", "-m", "venv", dir); err != nil {
		return err
	}
	return command(ctx, python(dir), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement)
}

// python is the interpreter of a virtual environment.
func python(dir string) string { return filepath.Join(dir, "bin", "python") }

func installNode(ctx context.Context, dir, requirement string) error {
	return command(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", requirement)
}

// command runs a program whose output is of interest only if it fails.
func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	const most = 2000 // the end says what went wrong
	said := strings.TrimSpace(string(out[max(0, len(out)-most):]))
	return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, said)
}
