package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// search is one row of the table of searches in docs/tracing.md: what is typed
// into the fields of Jaeger's search form.
type search struct {
	name      string // what is looked for
	service   string
	operation string // "all" is any
	tags      string // key=value, separated by blanks
	least     string // shortest duration of a span
}

const searchHeader = "| looking for | Service | Operation | Tags | Min Duration |"

// readSearches reads the table of a document.
func readSearches(path string) ([]search, error) {
	doc, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read searches: %w", err)
	}
	_, table, ok := strings.Cut(string(doc), searchHeader+"\n")
	if !ok {
		return nil, fmt.Errorf("read searches: %s has no table that begins with %s", path, searchHeader)
	}
	var list []search
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 {
			break
		}
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		if !strings.HasPrefix(cells[1], "---") {
			list = append(list, search{cells[1], cells[2], cells[3], cells[4], cells[5]})
		}
	}
	return list, nil
}

// finds says which calls a search is there to find; example is a failed one that
// stands for <id> and <template>.
var finds = map[string]func(c, example *called) bool{
	"the call of a request":         func(c, example *called) bool { return c == example },
	"calls of a template":           func(c, example *called) bool { return c.kind == example.kind },
	"failed calls of a template":    func(c, example *called) bool { return c.kind == example.kind },
	"calls to a host":               func(c, _ *called) bool { return c.kind.attempts > 0 },
	"failed executions":             func(c, _ *called) bool { return !c.kind.direct && c.kind.status == "FAILED" },
	"calls without a usable answer": func(c, _ *called) bool { return c.kind.failed() != "" && !c.kind.absent },
	"calls that timed out":          func(c, _ *called) bool { return c.kind.failure == timedOut },
	"calls that ended with 404":     func(c, _ *called) bool { return c.kind.code == 404 },
	"attempts answered with 500":    func(c, _ *called) bool { return c.kind.way() == "flaky" },
	"requests without a template":   func(c, _ *called) bool { return c.kind.absent },
	"retried calls":                 func(c, _ *called) bool { return c.kind.attempts == 2 },
	"pauses that an API asked for":  func(c, _ *called) bool { return c.kind.way() == "flaky" },
	"slow calls":                    func(c, _ *called) bool { return c.longer("process tasks") },
	"slow executions":               func(c, _ *called) bool { return c.longer("execution call-api") },
	"tasks delivered again":         func(c, _ *called) bool { return c.kind.name == held },
	"tasks handed back":             func(c, _ *called) bool { return c.kind.name == held },
}

// slow is the shortest duration in the searches for what is slow.
const slow = 1500 * time.Millisecond

// longer reports whether a span of the call took at least as long as slow.
func (c *called) longer(operation string) bool {
	return slices.ContainsFunc(c.trace.Spans, func(s *span) bool { return s.OperationName == operation && s.took() >= slow })
}

// checkSearches makes every search of the document and wants the traces of
// exactly the calls that it is there to find.
func (j *jaeger) checkSearches(ctx context.Context, path string, calls []*called) error {
	list, err := readSearches(path)
	if err != nil {
		return err
	}
	var errs []error
	known := map[string]bool{}
	for _, s := range list {
		known[s.name] = true
		if finds[s.name] == nil {
			errs = append(errs, fmt.Errorf("nothing is known here of what %q finds", s.name))
			continue
		}
		if err := j.checkSearch(ctx, s, calls); err != nil {
			errs = append(errs, fmt.Errorf("search for %s: %w", s.name, err))
		}
	}
	for name := range finds {
		if !known[name] {
			errs = append(errs, fmt.Errorf("no row for %q", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("searches of %s:\n%w", path, err)
	}
	fmt.Printf("jaeger: %d searches of %s find what they say\n", len(list), path)
	return nil
}

// checkTrees wants the trees that a document shows to be those of calls.
func checkTrees(path string) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read trees: %w", err)
	}
	var known []*kind
	for _, at := range places {
		known = append(known, kinds(at)...)
	}
	blocks := strings.Split(string(doc), "```")
	shown := 0
	for i := 1; i < len(blocks); i += 2 {
		tree := strings.TrimPrefix(blocks[i], "\n")
		if !strings.HasPrefix(tree, "producer ") {
			continue
		}
		shown++
		if !slices.ContainsFunc(known, func(k *kind) bool { return k.tree == tree }) {
			return fmt.Errorf("trees of %s: this one is that of no call:\n%s", path, tree)
		}
	}
	if shown == 0 {
		return fmt.Errorf("trees of %s: there is none", path)
	}
	fmt.Printf("jaeger: %d trees of %s are those of calls\n", shown, path)
	return nil
}

func (j *jaeger) checkSearch(ctx context.Context, s search, calls []*called) error {
	example := calls[slices.IndexFunc(calls, func(c *called) bool { return c.kind.failure == timedOut })]
	query := url.Values{"service": {s.service}, "limit": {"1500"}}
	if s.operation != "all" {
		query.Set("operation", s.operation)
	}
	if s.least != "" {
		query.Set("minDuration", s.least)
	}
	tags := map[string]string{}
	for pair := range strings.FieldsSeq(s.tags) {
		key, value, _ := strings.Cut(pair, "=")
		tags[key] = strings.NewReplacer("<id>", example.result.ID, "<template>", example.kind.name, "<host>", "127.0.0.1").Replace(value)
	}
	text, err := json.Marshal(tags)
	if err != nil {
		return err
	}
	query.Set("tags", string(text))
	found, err := j.traces(ctx, "/api/traces", query)
	if err != nil {
		return err
	}
	var got, want []string
	for _, t := range found {
		got = append(got, t.ID)
	}
	names := map[string]string{}
	for _, c := range calls {
		names[c.result.TraceID] = c.kind.name
		if finds[s.name](c, example) {
			want = append(want, c.result.TraceID)
		}
	}
	if len(want) == 0 {
		return errors.New("no call of the run is to be found: the search proves nothing")
	}
	var errs []error
	for _, id := range got {
		if !slices.Contains(want, id) {
			errs = append(errs, fmt.Errorf("found trace %s of a call %s, which is none", id, names[id]))
		}
	}
	for _, id := range want {
		if !slices.Contains(got, id) {
			errs = append(errs, fmt.Errorf("trace %s of a call %s is not found", id, names[id]))
		}
	}
	return errors.Join(errs...)
}
