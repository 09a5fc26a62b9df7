package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// event is a line of "go test -json" (go doc test2json).
type event struct{ Action, Package, Test, Output string }

// screen writes what "go test" without -v would write: a line for each package,
// and all of what did not pass.
type screen struct {
	w        io.Writer
	packages map[string]*printed
}

// printed is what a package that still runs has printed.
type printed struct {
	output []event
	passed map[string]bool // tests whose output nobody needs
}

// show reads events, writes them to the screen w, and keeps all output.
func show(w, keep io.Writer, events io.Reader) error {
	s := &screen{w, map[string]*printed{}}
	for r := bufio.NewReader(events); ; {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				e = event{Action: "build-output", Output: string(line)}
			}
			if _, err := io.WriteString(keep, e.Output); err != nil {
				return fmt.Errorf("keep output of tests: %w", err)
			}
			if err := s.handle(e); err != nil {
				return fmt.Errorf("show output of tests: %w", err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read events of tests: %w", err)
		}
	}
}

func (s *screen) handle(e event) error {
	if e.Action == "build-output" {
		_, err := io.WriteString(s.w, e.Output)
		return err
	}
	p := s.packages[e.Package]
	if p == nil {
		p = &printed{passed: map[string]bool{}}
		s.packages[e.Package] = p
	}
	switch e.Action {
	case "output":
		p.output = append(p.output, e)
	case "pass", "skip", "fail":
		if e.Test != "" {
			p.passed[e.Test] = e.Action != "fail"
			return nil
		}
		delete(s.packages, e.Package)
		return p.write(s.w, e.Action == "fail")
	}
	return nil
}

// write writes the verdict on a package and, when it failed, all that its tests
// printed which did not pass or did not end.
func (p *printed) write(w io.Writer, failed bool) error {
	for _, e := range p.output {
		verdict := e.Test == "" && (strings.HasPrefix(e.Output, "ok ") || strings.HasPrefix(e.Output, "? ") || strings.HasPrefix(e.Output, "\t"))
		progress := strings.HasPrefix(e.Output, "=== ")
		if !verdict && (!failed || progress || e.Test != "" && p.passed[e.Test]) {
			continue
		}
		if _, err := io.WriteString(w, e.Output); err != nil {
			return err
		}
	}
	return nil
}
