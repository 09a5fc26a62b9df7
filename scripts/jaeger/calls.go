package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"callfleet/scripts/internal/fleet"
)

// worker starts a worker that hands back soon what it does when it is stopped.
func (p *pass) worker(ctx context.Context, name string) (*fleet.Process, error) {
	w, err := p.fleet.Worker(ctx, name, "--slots", "64", "--drain", "200ms")
	p.add(w)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.fleet.Log(name))
	}
	return w, nil
}

// calls makes all calls and returns them with their results.
func (p *pass) calls(ctx context.Context) ([]*called, error) {
	first, err := p.worker(ctx, "worker-1")
	if err != nil {
		return nil, err
	}
	if err := p.putTemplates(); err != nil {
		return nil, err
	}
	var all []*called
	for _, mode := range []struct {
		name string
		of   func(*kind) bool
		args []string
	}{
		{"workflow", func(k *kind) bool { return !k.direct && k.name != held }, nil},
		{"direct", func(k *kind) bool { return k.direct }, []string{"--direct"}},
	} {
		calls, err := p.writeCalls(mode.name, mode.of)
		if err != nil {
			return nil, err
		}
		if err := p.wait(ctx, mode.name, calls, mode.args...); err != nil {
			return nil, err
		}
		all = append(all, calls...)
	}
	moved, err := p.move(ctx, first)
	return append(all, moved...), err
}

// move makes the calls that change their worker.
func (p *pass) move(ctx context.Context, worker *fleet.Process) ([]*called, error) {
	calls, err := p.writeCalls(held, func(k *kind) bool { return k.name == held })
	if err != nil || len(calls) == 0 {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.wait(ctx, held, calls) }()
	err = p.replace(ctx, worker)
	return calls, errors.Join(err, <-ended)
}

// replace stops the worker as soon as it is in the middle of a call, and starts
// another.
func (p *pass) replace(ctx context.Context, worker *fleet.Process) error {
	select {
	case <-p.api.held:
	case <-ctx.Done():
		return fmt.Errorf("wait for the call of template %s: %w", held, ctx.Err())
	}
	worker.Stop()
	_, err := p.worker(ctx, "worker-2")
	return err
}

func (p *pass) putTemplates() error {
	for _, k := range p.kinds {
		if k.absent {
			continue
		}
		path := filepath.Join(p.fleet.Dir, k.name+".POST.json")
		if err := os.WriteFile(path, []byte(k.template(p.api.addr)), 0o600); err != nil {
			return fmt.Errorf("write template: %w", err)
		}
		if err := p.produce("template", "put", path); err != nil {
			return err
		}
	}
	return nil
}

// writeCalls writes a call file with the calls of some kinds, mixed.
func (p *pass) writeCalls(name string, of func(*kind) bool) ([]*called, error) {
	var calls []*called
	var lines strings.Builder
	for round, added := 0, true; added; round++ {
		added = false
		for _, k := range p.kinds {
			if of(k) && round < k.calls {
				added = true
				calls = append(calls, &called{kind: k})
				lines.WriteString(k.line(len(calls)))
			}
		}
	}
	path := filepath.Join(p.fleet.Dir, name+".jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		return nil, fmt.Errorf("write calls: %w", err)
	}
	return calls, nil
}

// wait runs a call file to its end and adds the results to the calls.
func (p *pass) wait(ctx context.Context, name string, calls []*called, args ...string) error {
	results := filepath.Join(p.fleet.Dir, name+".results.jsonl")
	producer, err := p.fleet.Producer(append([]string{"run", name + ".jsonl", "--results", results}, args...)...)
	if err != nil {
		return err
	}
	select {
	case <-producer.Done():
	case <-ctx.Done():
		producer.Kill()
		return fmt.Errorf("run of %s.jsonl: %w\n%s", name, ctx.Err(), p.fleet.Log("producer"))
	}
	code, err := producer.Wait()
	if err != nil || code > 1 { // 1: some calls failed
		return fmt.Errorf("run of %s.jsonl: exit code %d, %v\n%s", name, code, err, p.fleet.Log("producer"))
	}
	return readResults(results, calls)
}

func readResults(path string, calls []*called) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	n := 0
	for ; lines.Scan(); n++ {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("read results: %w", err)
		}
		if r.Line < 1 || r.Line > len(calls) || r.TraceID == "" {
			return fmt.Errorf("read results: line %s of %s: want a line number up to %d and a trace id", lines.Bytes(), path, len(calls))
		}
		calls[r.Line-1].result = r
	}
	if n != len(calls) {
		return fmt.Errorf("read results: %d in %s, want %d", n, path, len(calls))
	}
	return lines.Err()
}
