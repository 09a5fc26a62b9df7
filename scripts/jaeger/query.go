package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// span is one span as Jaeger's HTTP API tells it.
type span struct {
	TraceID       string      `json:"traceID"`
	SpanID        string      `json:"spanID"`
	OperationName string      `json:"operationName"`
	References    []reference `json:"references"`
	StartTime     int64       `json:"startTime"` // µs since 1970
	Duration      int64       `json:"duration"`  // µs
	Tags          tags        `json:"tags"`
	Logs          []struct {
		Fields tags `json:"fields"`
	} `json:"logs"`
	ProcessID string   `json:"processID"`
	Warnings  []string `json:"warnings"`

	service string // without "callfleet-"
}

type reference struct {
	RefType string `json:"refType"`
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

// tags are a span's attributes and what Jaeger adds to them.
type tags []struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

// get returns a tag's value as text, "" when there is none.
func (t tags) get(key string) string {
	for _, tag := range t {
		if tag.Key == key {
			return fmt.Sprint(tag.Value)
		}
	}
	return ""
}

func (s *span) start() time.Time { return time.UnixMicro(s.StartTime) }
func (s *span) end() time.Time   { return time.UnixMicro(s.StartTime + s.Duration) }
func (s *span) took() time.Duration {
	return time.Duration(s.Duration) * time.Microsecond
}

// parent is the id of the span's parent, "" of a root.
func (s *span) parent() string {
	for _, r := range s.References {
		if r.RefType == "CHILD_OF" && r.TraceID == s.TraceID {
			return r.SpanID
		}
	}
	return ""
}

// trace is one trace, its spans in the order of their start.
type trace struct {
	ID        string  `json:"traceID"`
	Spans     []*span `json:"spans"`
	Processes map[string]struct {
		ServiceName string `json:"serviceName"`
		Tags        tags   `json:"tags"`
	} `json:"processes"`
}

const servicePrefix = "callfleet-"

// traces asks for traces, such as /api/traces?service=callfleet-worker. No trace
// with an id is no error.
func (j *jaeger) traces(ctx context.Context, path string, query url.Values) ([]*trace, error) {
	var list []*trace
	if err := j.get(ctx, path, query, &list); err != nil {
		return nil, err
	}
	for _, t := range list {
		for _, s := range t.Spans {
			s.service = strings.TrimPrefix(t.Processes[s.ProcessID].ServiceName, servicePrefix)
		}
		slices.SortStableFunc(t.Spans, func(a, b *span) int { return cmp.Compare(a.StartTime, b.StartTime) })
	}
	return list, nil
}

// get asks Jaeger's HTTP API for data.
func (j *jaeger) get(ctx context.Context, path string, query url.Values, data any) error {
	target := j.query + path + "?" + query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return fmt.Errorf("ask Jaeger: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask Jaeger: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("ask Jaeger for %s: %w", target, err)
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask Jaeger for %s: it answered %d: %s", target, resp.StatusCode, text)
	}
	if i := bytes.Index(text, []byte(secret)); i >= 0 {
		return fmt.Errorf("ask Jaeger for %s: the answer shows a secret of the calls: … %s", target, text[max(i-200, 0):i+len(secret)])
	}
	answer := struct {
		Data any `json:"data"`
	}{data}
	numbers := json.NewDecoder(bytes.NewReader(text))
	numbers.UseNumber() // as written
	if err := numbers.Decode(&answer); err != nil {
		return fmt.Errorf("read Jaeger's answer to %s: %w", target, err)
	}
	return nil
}

// tree draws a trace as docs/tracing.md does: service, kind, operation by its
// parents, and the error. A parent that is not there is said.
func (t *trace) tree() string {
	known := map[string]bool{}
	for _, s := range t.Spans {
		known[s.SpanID] = true
	}
	children := map[string][]*span{}
	for _, s := range t.Spans {
		parent := s.parent()
		if !known[parent] {
			parent = ""
		}
		children[parent] = append(children[parent], s)
	}
	var b strings.Builder
	var draw func(parent, indent string)
	draw = func(parent, indent string) {
		for _, s := range children[parent] {
			fmt.Fprintf(&b, "%-15s%-10s%s%s", s.service, s.Tags.get("span.kind"), indent, s.OperationName)
			if p := s.parent(); p != "" && !known[p] {
				b.WriteString("  parent missing")
			}
			if s.Tags.get("error") == "true" {
				b.WriteString("  error " + s.Tags.get("error.type"))
			}
			b.WriteByte('\n')
			draw(s.SpanID, indent+"  ")
		}
	}
	draw("", "")
	return b.String()
}
