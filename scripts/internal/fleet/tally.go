package fleet

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Tally is what became of a run's calls, counted by the producer's results, the
// executions and the API that was called.
type Tally struct {
	Accepted, Completed, Lost int
	Called, Keys              int // requests that the API saw, and different idempotency keys
	Running                   int // executions that have not ended

	again    []Repeat
	twice    int            // ids that stand in the results more than once
	uncalled int            // results of calls that the API never saw
	failed   map[string]int // by status and error
	open     string         // what lists the executions that run
}

// Count counts a run of so many calls, whose results are in the fleet's
// directory.
func (f *Fleet) Count(accepted int, api *CountingAPI) (*Tally, error) {
	results, twice, err := ReadResults(filepath.Join(f.Dir, "results.jsonl"))
	if err != nil {
		return nil, err
	}
	t := &Tally{Accepted: accepted, Completed: len(results), Lost: accepted - len(results), twice: twice, failed: map[string]int{}}
	if t.open, err = f.Output("execution", "ls", "--status", "running"); err != nil {
		return nil, err
	}
	t.Running = strings.Count(t.open, "\n") - 1 // the first line is the heading
	t.Called, t.Keys, t.again = api.Counts()
	for id, r := range results {
		if r.Status != "SUCCEEDED" {
			t.failed[r.Status+" "+r.Error]++
		}
		if !api.Has(id) {
			t.uncalled++
		}
	}
	return t, nil
}

// Again are the calls whose key had come before.
func (t *Tally) Again() []Repeat { return t.again }

// Print writes the counts, one a line.
func (t *Tally) Print() {
	fmt.Printf("executions still running %d\n", t.Running)
	fmt.Printf("accepted %d\ncalled %d (keys %d)\ncompleted %d\nduplicated %d\nlost %d\n",
		t.Accepted, t.Called, t.Keys, t.Completed, t.Called-t.Keys, t.Lost)
	for reason, n := range t.failed {
		fmt.Printf("failed %d: %s\n", n, reason)
	}
}

// Err says what must not be: anything lost, left open, told twice, or failed.
func (t *Tally) Err() error {
	switch {
	case t.Running != 0:
		return fmt.Errorf("%d executions never ended:\n%s", t.Running, t.open)
	case t.Lost != 0 || t.uncalled != 0:
		return fmt.Errorf("lost %d results; %d completed without a call", t.Lost, t.uncalled)
	case t.twice != 0:
		return fmt.Errorf("%d ids stand twice in the results", t.twice)
	case len(t.failed) != 0:
		return errors.New("calls failed that no API failed")
	}
	return nil
}
