package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"callfleet/internal/stepfn"
)

// figures are what a pass came to.
type figures struct {
	took                time.Duration
	executions          int
	transitions, events float64 // of all executions
}

// mostHistories is how many histories are read: of more executions a sample.
const mostHistories = 500

func (s *stage) report(ctx context.Context, took time.Duration) (figures, error) {
	f := figures{took: took}
	if err := s.histories(ctx, &f); err != nil {
		return f, err
	}
	t, err := s.fleet.Count(s.calls, s.api)
	if err != nil {
		return f, err
	}
	again := t.Called - t.Keys
	fmt.Printf("%-13s %7.1f s %8.0f calls/s  executions %6d  transitions %8.0f (%.2f a call)  events %8.0f  called again %d, lost %d\n",
		s.name, took.Seconds(), float64(s.calls)/took.Seconds(), f.executions, f.transitions, f.transitions/float64(s.calls), f.events, again, t.Lost)
	switch err := t.Err(); {
	case err != nil:
		return f, fmt.Errorf("%s: %w", s.name, err)
	case again > 0 && !s.kill || again > s.slots:
		return f, fmt.Errorf("%s: %d calls were made again", s.name, again)
	}
	return f, nil
}

// histories counts states entered, which is what AWS bills, and events.
func (s *stage) histories(ctx context.Context, f *figures) error {
	machine := "call-api"
	if s.share > 1 {
		machine = "call-batch"
	}
	client, err := stepfn.New(stepfn.Options{
		Endpoint:     s.fleet.API(),
		StateMachine: "arn:aws:states:us-east-1:000000000000:stateMachine:" + machine,
	})
	if err != nil {
		return err
	}
	defer client.Close()
	var names []string
	for e, err := range client.List(ctx, "") {
		if err != nil {
			return err
		}
		names = append(names, e.Name)
	}
	every := (len(names) + mostHistories - 1) / mostHistories
	var read, entered, events int
	for i := 0; i < len(names); i += every {
		read++
		for e, err := range client.History(ctx, names[i]) {
			if err != nil {
				return err
			}
			events++
			if strings.HasSuffix(e.Type, "StateEntered") {
				entered++
			}
		}
	}
	f.executions = len(names)
	f.transitions = float64(entered) * float64(len(names)) / float64(read)
	f.events = float64(events) * float64(len(names)) / float64(read)
	return nil
}
