package config

import (
	"strings"
	"testing"
	"time"
)

func TestFlowSet(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]FlowRate{
		"50/s": {true, 50, time.Second}, "600/m": {true, 600, time.Minute}, "1000/h": {true, 1000, time.Hour},
		"100/30s": {true, 100, 30 * time.Second}, "0": {Set: true}, "0/s": {Set: true},
	} {
		c, err := ParseProducer(input("flow set api.example --rate " + text))
		if err != nil || c.Flow.Set.Rate != want || c.Flow.Set.Concurrency.Set || c.Flow.Set.Key != "api.example" {
			t.Errorf("%s: %+v, %v, want %+v", text, c, err, want)
		}
	}
	c, err := ParseProducer(input("flow set k --concurrency 8 --backlog 0"))
	if err != nil || c.Flow.Set.Concurrency != (FlowCount{true, 8}) || c.Flow.Set.Backlog != (FlowCount{true, 0}) || c.Flow.Set.Rate.Set {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestFlowMistakes(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"flow set k": "want --rate, --concurrency or --backlog", "flow set k --rate 5": "want a number of calls in a time",
		"flow set k --rate=-1/s": "want a number", "flow set k --rate 5/x": "want a number", "flow set k --rate 5/48h": "want a number",
		"flow set k --concurrency=-1": "want a whole number", "flow pause " + strings.Repeat("k", 257): "1 to 256 characters",
		"flow resume a\x01": "character 2",
	} {
		if _, err := ParseProducer(input(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want %s", args, err, want)
		}
	}
}
