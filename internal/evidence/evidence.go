// Package evidence is test support: it keeps what tests make the product show,
// its logs, spans, histories, results and files, so that all of it can be
// searched for secrets when the whole run is over.
//
//	test ── Logger, Tracer, Dir, Write ──> $CALLFLEET_TEST_ARTIFACTS/log-….jsonl, span-….jsonl, …
//	     ── Hide (by secrettest) ───────>  …/secrets-….jsonl: what must not be there
//	scripts/secretscan ── package search ─> every file of it
//
// Without the variable nothing is kept, and everything else is the same.
package evidence

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Variable names the directory that evidence is written to; "" is none.
const Variable = "CALLFLEET_TEST_ARTIFACTS"

// Kind says what a record is. Each has files of its own, named after it.
type Kind string

// The kinds of records.
const (
	Log     Kind = "log"     // one line of a log
	Span    Kind = "span"    // one span, with attributes, events and status
	Metric  Kind = "metric"  // one metric, as it was sent once
	History Kind = "history" // one execution with all its events
	Result  Kind = "result"  // what a call came to: output, error, cause
	Preview Kind = "preview" // a request as people are shown it
	Output  Kind = "output"  // what "go test" or a program printed
	File    Kind = "file"    // a file that a test left; a directory of its own, no records
)

// Record is a line of a file of records.
type Record struct {
	Test string `json:"test"`
	Text any    `json:"text"`
}

// Hidden is a line of the files of secrets.
type Hidden struct {
	Name   string `json:"name"` // what people are told
	Test   string `json:"test"`
	Value  string `json:"value"`
	Canary bool   `json:"canary,omitempty"` // is shown on purpose, so that a search that finds nothing is known as broken
}

// Enabled reports whether evidence is kept.
func Enabled() bool { return directory() != "" }

// Write keeps a record; v is text, or has JSON.
func Write(t testing.TB, kind Kind, v any) {
	t.Helper()
	if err := write(kind, Record{t.Name(), v}); err != nil {
		t.Errorf("keep evidence: %v", err)
	}
}

// Hide says that value must not be in any evidence. Tests take secrets from
// package secrettest, which calls it.
func Hide(t testing.TB, name, value string) { hide(t, Hidden{name, t.Name(), value, false}) }

// Canary says that value is in the evidence on purpose: a search has to find it.
func Canary(t testing.TB, value string) { hide(t, Hidden{"canary", t.Name(), value, true}) }

func hide(t testing.TB, h Hidden) {
	t.Helper()
	if err := write("secrets", h); err != nil {
		t.Errorf("keep evidence: %v", err)
	}
}

var directory = sync.OnceValue(func() string { return os.Getenv(Variable) })

// open are the files of this process by kind. Nothing is buffered, for a process
// may be killed at any time.
var open struct {
	sync.Mutex
	files map[Kind]*os.File // guarded by the mutex
}

func write(kind Kind, v any) error {
	if !Enabled() {
		return nil
	}
	line, err := json.Marshal(v)
	if err != nil {
		line, err = json.Marshal(Record{Text: fmt.Sprintf("%+v", v)})
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", kind, err)
	}
	open.Lock()
	defer open.Unlock()
	file := open.files[kind]
	if file == nil {
		name := fmt.Sprintf("%s-%s-%d.jsonl", kind, filepath.Base(os.Args[0]), os.Getpid())
		if file, err = os.OpenFile(filepath.Join(directory(), name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", kind, err)
		}
		if open.files == nil {
			open.files = map[Kind]*os.File{}
		}
		open.files[kind] = file
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", kind, err)
	}
	return nil
}
