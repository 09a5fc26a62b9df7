package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Result is one line of results.jsonl: what became of one line of the call
// file.
type Result struct {
	ID   string `json:"id,omitempty"` // "" for a bad line of a file that has its own ids
	Line int64  `json:"line"`
	// Status is SUCCEEDED, FAILED, TIMED_OUT or ABORTED.
	Status     string          `json:"status"`
	StatusCode int             `json:"statusCode,omitempty"`
	Output     json.RawMessage `json:"output,omitempty"`
	// OutputOmitted says that the output was too large for the event.
	OutputOmitted bool       `json:"outputOmitted,omitempty"`
	Error         string     `json:"error,omitempty"`
	Cause         string     `json:"cause,omitempty"`
	Attempts      int        `json:"attempts,omitempty"`
	Durations     *Durations `json:"durations,omitempty"`
	TraceID       string     `json:"traceId,omitempty"`
}

// Durations are how long a request took, in milliseconds.
type Durations struct {
	Queue int64 `json:"queueMs"` // from publish to the start of its execution
	Call  int64 `json:"callMs"`  // of the API call, retries included
	Total int64 `json:"totalMs"` // from publish to the end of its execution
}

// Append adds results, which Flush puts into the file.
func (r *Run) Append(results ...Result) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, res := range results {
		b.Reset()
		if err := enc.Encode(res); err != nil {
			return fmt.Errorf("write result of line %d: %w", res.Line, err)
		}
		if err := r.results.write(b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// Flush returns when every result is in the file: only then may its event be
// acknowledged.
func (r *Run) Flush() error { return r.results.flush() }

// Sync makes Flush and Intend wait for the disk, which a power loss cannot
// undo.
func (r *Run) Sync(on bool) { r.publish.sync, r.results.sync = on, on }

// State is what a run had reached.
type State struct {
	Batches Batches
	Done    Lines
}

// Replay reads what the run has done and repairs torn ends. each is called
// with every result, in the order of the file; nil is allowed.
func (r *Run) Replay(each func(Result)) (*State, error) {
	s := &State{}
	if err := r.publish.replay(s.Batches.add); err != nil {
		return nil, fmt.Errorf("replay run %s: %w", r.meta.Run, err)
	}
	err := r.results.replay(func(line []byte) error {
		var res Result
		if err := json.Unmarshal(line, &res); err != nil {
			return err
		}
		if res.Line < 1 {
			return errors.New("result has no line")
		}
		if !s.Done.Add(res.Line) {
			return fmt.Errorf("line %d stands there twice", res.Line)
		}
		if each != nil {
			each(res)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("replay run %s: %w", r.meta.Run, err)
	}
	return s, nil
}

// Lines is a set of line numbers, at one bit each. The zero value is empty.
type Lines struct {
	pages map[int64]*[pageWords]uint64
	count int64
}

const (
	pageWords = 512
	pageLines = pageWords * 64
)

// Add reports whether the line is new.
func (s *Lines) Add(line int64) bool {
	if s.pages == nil {
		s.pages = map[int64]*[pageWords]uint64{}
	}
	page := s.pages[line/pageLines]
	if page == nil {
		page = new([pageWords]uint64)
		s.pages[line/pageLines] = page
	}
	word, bit := &page[line%pageLines/64], uint64(1)<<(line%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	s.count++
	return true
}

// Has reports whether the line is in the set.
func (s *Lines) Has(line int64) bool {
	page := s.pages[line/pageLines]
	return page != nil && page[line%pageLines/64]&(1<<(line%64)) != 0
}

// Len is the number of lines.
func (s *Lines) Len() int64 { return s.count }
