package machine

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// epoch is when simulated executions start.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// reporter is what sim needs of a test; a *rapid.T is one too.
type reporter interface {
	Helper()
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// sim runs one execution against a clock of its own. After every decision it
// checks that replaying the stored events gives the same execution.
type sim struct {
	t       reporter
	program *asl.Program
	x       *Execution
	now     time.Time
	rand    *rand.Rand
	log     []history.Event
	records [][]byte
}

func parse(t reporter, definition string) *asl.Program {
	t.Helper()
	program, findings := asl.Parse([]byte(definition))
	if program == nil {
		t.Fatalf("findings in %s: %v", definition, findings)
	}
	return program
}

// begin starts an execution of a definition.
func begin(t reporter, definition, input string) *sim {
	t.Helper()
	s := &sim{t: t, program: parse(t, definition), x: new(Execution), now: epoch, rand: rand.New(rand.NewPCG(1, 2))}
	s.decide(Start{
		Start: history.Start{
			Key: "run-1", ARN: "arn:aws:states:us-east-1:123456789012:execution:call-api:run-1", Name: "run-1",
			RoleARN:    "arn:aws:iam::123456789012:role/r",
			MachineARN: "arn:aws:states:us-east-1:123456789012:stateMachine:call-api", MachineName: "call-api", Region: "us-east-1",
		},
		Input: expr.Raw([]byte(input)),
	})
	return s
}

// lone is a definition of one state, named S.
func lone(state string) string { return `{"StartAt": "S", "States": {"S": ` + state + `}}` }

// decide decides, continues while there is more, and returns the new events.
func (s *sim) decide(in Input) []history.Event {
	s.t.Helper()
	first := len(s.log)
	for {
		events, more := Decide(s.program, s.x, in, Env{Now: s.now, Rand: s.rand})
		s.log = append(s.log, events...)
		s.records = append(s.records, history.Encode(events))
		s.checkReplay()
		if !more {
			return s.log[first:]
		}
		in = Continue{}
	}
}

// checkReplay folds the stored records and compares. Long histories are
// compared now and then.
func (s *sim) checkReplay() {
	s.t.Helper()
	if len(s.records) > 50 && len(s.records)%100 != 0 {
		return
	}
	var y Execution
	for _, record := range s.records {
		events, err := history.Decode(record)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range events {
			y.Apply(e)
		}
	}
	if got, want := dump(&y), dump(s.x); got != want {
		s.t.Fatalf("replay differs:\n got %s\nwant %s", got, want)
	}
}

// tick moves the clock to the next deadline and lets it pass.
func (s *sim) tick() []history.Event {
	s.t.Helper()
	at, ok := s.x.NextDeadline()
	if !ok {
		s.t.Fatal("nothing is due")
	}
	s.now = at
	return s.decide(Tick{})
}

// command is the only thing owed.
func (s *sim) command() Command {
	s.t.Helper()
	commands := s.x.Commands()
	if len(commands) != 1 {
		s.t.Fatalf("%d commands, want 1", len(commands))
	}
	return commands[0]
}

func (s *sim) succeed(output string) {
	s.t.Helper()
	s.decide(TaskSucceeded{Task: s.command().Task, Output: expr.Raw([]byte(output))})
}

func (s *sim) failTask(name, cause string) {
	s.t.Helper()
	s.decide(TaskFailed{Task: s.command().Task, Error: &name, Cause: &cause})
}

// wantOutput demands that the execution succeeded with an output.
func (s *sim) wantOutput(want string) {
	s.t.Helper()
	if got := string(s.x.Output().JSON()); s.x.Status() != Succeeded || got != want {
		name, cause := s.x.Failure()
		s.t.Errorf("status %s, output %s, failure %s %s; want output %s", s.x.Status(), got, show(name), show(cause), want)
	}
}

// wantFailure demands that the execution failed; a cause of "*" is any.
func (s *sim) wantFailure(name, cause string) {
	s.t.Helper()
	gotName, gotCause := s.x.Failure()
	if s.x.Status() != Failed || show(gotName) != name || cause != "*" && show(gotCause) != cause {
		s.t.Errorf("status %s, output %s, failure %s %s; want %s %s", s.x.Status(), s.x.Output().JSON(), show(gotName), show(gotCause), name, cause)
	}
}

// wantTypes demands the types of the public events from one on.
func (s *sim) wantTypes(from int, want ...history.Type) {
	s.t.Helper()
	if got := s.types()[from:]; !slices.Equal(got, want) {
		s.t.Errorf("events %v, want %v", got, want)
	}
}

func (s *sim) types() []history.Type {
	var types []history.Type
	for _, e := range s.log {
		if e.Type.Public() {
			types = append(types, e.Type)
		}
	}
	return types
}

// history is the public history, one event a line, without timestamps.
func (s *sim) history() string {
	var out strings.Builder
	for i := range s.log {
		line := s.log[i].AppendJSON(nil, true)
		if _, rest, ok := bytes.Cut(line, []byte(",")); ok {
			fmt.Fprintf(&out, "{%s\n", rest)
		}
	}
	return out.String()
}

func show(s *string) string {
	if s == nil {
		return "<none>"
	}
	return *s
}

// dump writes down everything that is folded.
func dump(x *Execution) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s in=%s out=%s err=%s cause=%s at=%d-%d deadline=%d last=%d next=%d\n", x.status, x.input.JSON(), x.output.JSON(),
		show(x.errorName), show(x.cause), x.startedAt, x.stoppedAt, x.deadline, x.lastID, x.nextFrame)
	if x.start != nil {
		fmt.Fprintf(&out, "start %+v\n", *x.start)
	}
	if x.root != nil {
		x.root.each(func(f *frame) { dumpFrame(&out, f) })
	}
	for _, n := range slices.Sorted(maps.Keys(x.frames)) {
		fmt.Fprintf(&out, "frame %d is %d\n", n, x.frames[n].number)
	}
	fmt.Fprintf(&out, "scheduled %d\n", x.scheduled)
	for _, n := range slices.Sorted(maps.Keys(x.open)) {
		fmt.Fprintf(&out, "task %d in %d\n", n, x.open[n].number)
	}
	return out.String()
}

func dumpFrame(out *strings.Builder, f *frame) {
	fmt.Fprintf(out, "frame %d phase=%d removed=%v index=%d state=%q in=%s entered=%d@%d last=%d retries=%v/%d deadline=%d\n",
		f.number, f.phase, f.removed, f.index, f.state, f.input.JSON(), f.enteredID, f.enteredAt, f.last, f.retries, f.retryCount, f.deadline)
	for _, name := range slices.Sorted(maps.Keys(f.vars)) {
		fmt.Fprintf(out, "  $%s=%s\n", name, f.vars[name].JSON())
	}
	if t := f.task; t != nil {
		fmt.Fprintf(out, "  task %d %s %s %v in=%s at=%d timeout=%d heartbeat=%d started=%v submitted=%v %s\n", t.Scheduled, t.state, t.Resource,
			t.Secret, t.parameters.JSON(), t.scheduledAt, t.timeout, t.heartbeat, t.started, t.submitted, t.submission.JSON())
	}
	if g := f.group; g != nil {
		fmt.Fprintf(out, "  group map=%v started=%d length=%d next=%d done=%d freed=%d", g.isMap, g.startedID, g.length, g.next, g.done, g.freed)
		for _, r := range g.results {
			fmt.Fprintf(out, " %s", r.JSON())
		}
		out.WriteByte('\n')
	}
}
