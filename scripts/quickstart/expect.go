package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// expected is what the quickstart's README promises.
type expected struct {
	file     string           // the call file
	byLine   map[int64]string // template of each line of the call file
	outcomes []outcome
}

// outcome is a row of the README's table: how the calls of a template end.
type outcome struct {
	template string
	count    int
	text     string // "200", "HTTP 404", "Callfleet.Timeout"
	attempts int
}

var (
	row      = regexp.MustCompile("(?m)^\\| `([^`]+)` [A-Z]+ \\| (\\d+) \\| (200|HTTP 404|`Callfleet\\.Timeout`)([^|]*)\\|$")
	ordinals = map[string]int{"second": 2, "third": 3}
)

func readExpected(examples string) (*expected, error) {
	file, err := filepath.Abs(filepath.Join(examples, "calls.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("find the calls: %w", err)
	}
	readme, err := os.ReadFile(filepath.Join(examples, "README.md"))
	if err != nil {
		return nil, fmt.Errorf("read what to expect: %w", err)
	}
	e := &expected{file: file, byLine: map[int64]string{}}
	for _, m := range row.FindAllStringSubmatch(string(readme), -1) {
		o := outcome{template: m[1], text: strings.Trim(m[3], "`"), attempts: 1}
		if o.count, err = strconv.Atoi(m[2]); err != nil {
			return nil, fmt.Errorf("read what to expect: %w", err)
		}
		for word, n := range ordinals {
			if strings.Contains(m[4], "at the "+word+" attempt") {
				o.attempts = n
			}
		}
		e.outcomes = append(e.outcomes, o)
	}
	return e, e.readCalls()
}

// readCalls finds the template of each line, and that the README counts them
// right.
func (e *expected) readCalls() error {
	counts := map[string]int{}
	n := int64(0)
	err := eachLine(e.file, func(line []byte) error {
		var c struct {
			Template string `json:"templateName"`
		}
		n++
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		counts[c.Template]++
		e.byLine[n] = c.Template
		return nil
	})
	if err != nil {
		return err
	}
	for _, o := range e.outcomes {
		if counts[o.template] != o.count {
			return fmt.Errorf("the README says %d calls of %s, the file has %d", o.count, o.template, counts[o.template])
		}
		delete(counts, o.template)
	}
	if len(counts) > 0 || n != calls {
		return fmt.Errorf("the file has %d calls, want %d; templates that are not in the README's table: %v", n, calls, counts)
	}
	return nil
}

// result is the part of a results line that is checked.
type result struct {
	ID         string `json:"id"`
	Line       int64  `json:"line"`
	Status     string `json:"status"`
	StatusCode int    `json:"statusCode"`
	Error      string `json:"error"`
	Attempts   int    `json:"attempts"`
}

// outcome is the result in the README's words.
func (r result) outcome() string {
	switch {
	case r.Status == "SUCCEEDED":
		return strconv.Itoa(r.StatusCode)
	case strings.HasPrefix(r.Error, "Callfleet.StatusCode."):
		return "HTTP " + strconv.Itoa(r.StatusCode)
	}
	return r.Error
}

func readResults(path string) ([]result, error) {
	var found []result
	err := eachLine(path, func(line []byte) error {
		var r result
		err := json.Unmarshal(line, &r)
		found = append(found, r)
		return err
	})
	return found, err
}

func eachLine(path string, do func(line []byte) error) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read lines: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 4<<20)
	for n := 1; lines.Scan(); n++ {
		if err := do(lines.Bytes()); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	return lines.Err()
}

// check wants one result for each line, with the outcome of its template.
func (e *expected) check(found []result) error {
	var wrong []error
	ids, lines := map[string]int{}, map[int64]int{}
	got := map[string]map[string]int{}
	for _, r := range found {
		ids[r.ID]++
		lines[r.Line]++
		of := e.byLine[r.Line]
		if got[of] == nil {
			got[of] = map[string]int{}
		}
		got[of][fmt.Sprintf("%s, attempts %d", r.outcome(), r.Attempts)]++
	}
	if len(found) != calls || len(ids) != calls || len(lines) != calls {
		wrong = append(wrong, fmt.Errorf("%d results with %d ids of %d lines, want %d of each", len(found), len(ids), len(lines), calls))
	} else {
		checked("%d results, each id and each line once", len(found))
	}
	for _, o := range slices.SortedFunc(slices.Values(e.outcomes), func(a, b outcome) int { return b.count - a.count }) {
		want := fmt.Sprintf("%s, attempts %d", o.text, o.attempts)
		if len(got[o.template]) != 1 || got[o.template][want] != o.count {
			wrong = append(wrong, fmt.Errorf("%s ended as %v, want %d times %q", o.template, got[o.template], o.count, want))
			continue
		}
		checked("%4d of %-12s %s", o.count, o.template, want)
	}
	return errors.Join(wrong...)
}
