package machine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// generator makes definitions that are valid, of every kind of state.
type generator struct {
	t     *rapid.T
	names int
}

// machine is StartAt and States of a chain, without the braces around them.
func (g *generator) machine(depth int) string {
	n := rapid.IntRange(1, 4).Draw(g.t, "states")
	first := g.names
	g.names += n
	var states []string
	for i := range n {
		next := `"End": true`
		if i < n-1 {
			next = fmt.Sprintf(`"Next": "S%d"`, first+i+1)
		}
		states = append(states, fmt.Sprintf(`"S%d": %s`, first+i, g.state(depth, next, fmt.Sprintf("S%d", first+n-1))))
	}
	return fmt.Sprintf(`"StartAt": "S%d", "States": {%s}`, first, strings.Join(states, ","))
}

func (g *generator) state(depth int, next, last string) string {
	kinds := []string{"pass", "assign", "task", "callback", "wait", "lambda"}
	if strings.HasPrefix(next, `"Next"`) {
		kinds = append(kinds, "choice")
	}
	if depth > 0 {
		kinds = append(kinds, "parallel", "map", "map1", "fail")
	}
	failing := g.handlers(last)
	switch rapid.SampledFrom(kinds).Draw(g.t, "kind") {
	case "assign":
		return `{"Type": "Pass", "Assign": {"v.$": "$", "u.$": "States.UUID()"}, "Result": [1, 2, 3], ` + next + `}`
	case "task":
		return `{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"in.$": "$", "c.$": "$$"}, "TimeoutSeconds": 30, ` + failing + next + `}`
	case "callback":
		return `{` + callback + `, "TimeoutSeconds": 60, "HeartbeatSeconds": 10, "ResultPath": null, ` + failing + next + `}`
	case "lambda":
		return `{` + lambdaARN + `, "ResultSelector": {"r.$": "$.r"}, ` + failing + next + `}`
	case "wait":
		return `{"Type": "Wait", "Seconds": 2, ` + next + `}`
	case "choice":
		return `{"Type": "Choice", "Choices": [{"Variable": "$[0]", "IsPresent": true, ` + next + `}], "Default": "` + last + `"}`
	case "parallel":
		return `{"Type": "Parallel", "Branches": [{` + g.machine(depth-1) + `}, {` + g.machine(depth-1) + `}], ` + failing + next + `}`
	case "map":
		return `{"Type": "Map", "ItemsPath": "$$.Execution.Input.items", "ItemSelector": {"v.$": "$$.Map.Item.Value", "u.$": "States.UUID()"}, "ItemProcessor": {` + g.machine(depth-1) + `}, ` + failing + next + `}`
	case "map1":
		return `{"Type": "Map", "ItemsPath": "$$.Execution.Input.items", "MaxConcurrency": 1, "ItemProcessor": {` + g.machine(depth-1) + `}, ` + failing + next + `}`
	case "fail":
		name := fmt.Sprintf("S%d", g.names)
		g.names++
		return `{"Type": "Parallel", "Branches": [{"StartAt": "` + name + `", "States": {"` + name + `": {"Type": "Fail", "Error": "E"}}}], ` + failing + next + `}`
	}
	return `{"Type": "Pass", "Parameters": {"x.$": "$", "s": "text"}, ` + next + `}`
}

// handlers are Retry and Catch, or nothing.
func (g *generator) handlers(last string) string {
	var out string
	if rapid.Bool().Draw(g.t, "retry") {
		out += `"Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 2, "JitterStrategy": "FULL"}, {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1}], `
	}
	if rapid.Bool().Draw(g.t, "catch") {
		out += `"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.caught", "Next": "` + last + `"}], `
	}
	return out
}

// answer draws something that may happen.
func answer(t *rapid.T, s *sim) Input {
	commands := s.x.Commands()
	_, due := s.x.NextDeadline()
	if len(commands) == 0 || due && rapid.IntRange(0, 3).Draw(t, "tick") == 0 {
		if due {
			s.now, _ = s.x.NextDeadline()
		}
		return Tick{}
	}
	c := rapid.SampledFrom(commands).Draw(t, "command")
	name := rapid.SampledFrom([]string{"E", "F", "States.TaskFailed"}).Draw(t, "error")
	return rapid.SampledFrom([]Input{
		TaskSucceeded{Task: c.Task, Output: expr.Raw([]byte(`{"r": [1], "items": []}`))},
		TaskSucceeded{Task: c.Task, Output: expr.Raw([]byte(`{"r": "x"}`))},
		TaskFailed{Task: c.Task, Error: &name},
		TaskSubmitted{Task: c.Task, Output: expr.Raw([]byte(`{"id": 1}`))},
		Heartbeat{Task: c.Task},
		TaskSucceeded{Task: c.Task + 1},
	}).Draw(t, "answer")
}

// TestReplayGivesTheSameExecution: whatever happens to whatever program,
// folding the stored events alone gives the execution that decided them (sim
// checks that after each decision), and the history is well formed.
func TestReplayGivesTheSameExecution(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		definition := `{` + (&generator{t: t}).machine(2) + `}`
		program, findings := asl.Parse([]byte(definition))
		if program == nil {
			for _, f := range findings {
				if !strings.HasSuffix(f.Message, "is not reachable.") {
					t.Fatalf("%s: %v", definition, f)
				}
			}
			t.Skip("a choice went round a state")
		}
		s := &sim{t: t, program: program, x: new(Execution), now: epoch, rand: rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed")))}
		s.decide(Start{Start: history.Start{Key: "k", Name: "n"}, Input: expr.Raw([]byte(`{"items": [1, [2], {"a": 3}]}`))})
		for range 60 {
			if s.x.Done() {
				break
			}
			if len(s.x.Commands()) == 0 {
				if _, due := s.x.NextDeadline(); !due {
					t.Fatalf("%s: running, but waits for nothing", definition)
				}
			}
			s.decide(answer(t, s))
		}
		if !s.x.Done() {
			s.decide(Stop{})
		}
		wellFormed(t, s.log)
	})
}

// wellFormed checks numbers, parents and texts of a history.
func wellFormed(t *rapid.T, events []history.Event) {
	var last int64
	for i := range events {
		e := &events[i]
		if !e.Type.Public() {
			if e.ID != 0 {
				t.Fatalf("internal event %v has number %d", e.Type, e.ID)
			}
			continue
		}
		if last++; e.ID != last || e.Prev >= e.ID || e.Prev < 0 {
			t.Fatalf("event %d is numbered %d and follows %d", last, e.ID, e.Prev)
		}
		if line := e.AppendJSON(nil, true); !json.Valid(line) {
			t.Fatalf("event %d: %s", e.ID, line)
		}
	}
}
