package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"callfleet/internal/evidence"
	"callfleet/internal/stepfn"
)

// keepHistories keeps every execution with its history as evidence, once: what
// the test made is complete, and the servers are there still.
func (s *stack) keepHistories(t *testing.T) {
	if !evidence.Enabled() || s.historiesKept {
		return
	}
	s.historiesKept = true
	for _, text := range s.executions(t) {
		evidence.Write(t, evidence.History, text)
	}
}

// executions are all executions, each with its history.
func (s *stack) executions(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, client := range []*stepfn.Client{s.producer.Executions, s.producer.Batches} {
		if client == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		for e, err := range client.List(ctx, "") {
			if err != nil {
				t.Errorf("list executions: %v", err)
				return list
			}
			list = append(list, history(ctx, t, client, e.Name))
		}
	}
	return list
}

func history(ctx context.Context, t *testing.T, client *stepfn.Client, name string) string {
	t.Helper()
	whole, err := client.Describe(ctx, name)
	if err != nil {
		t.Errorf("describe %s: %v", name, err)
		return ""
	}
	var text strings.Builder
	fmt.Fprintf(&text, "execution: %+v %s %s\n", whole, whole.Input, whole.Output)
	for event, err := range client.History(ctx, name) {
		if err != nil {
			t.Errorf("read history of %s: %v", name, err)
			break
		}
		fmt.Fprintf(&text, "event: %+v %s %s %s\n", event, event.Input, event.Output, event.Parameters)
	}
	return text.String()
}
