package machine

import (
	"slices"

	"callfleet/internal/localsfn/asl"
	"callfleet/internal/localsfn/expr"
	"callfleet/internal/localsfn/history"
)

// phase is where a frame stands between two events.
type phase uint8

const (
	// phaseNext: the state named is to be entered; "" is its machine's first.
	phaseNext phase = iota
	// phaseEntered: the state was entered and is to be executed.
	phaseEntered
	// phaseWaiting: a Wait state until the deadline.
	phaseWaiting
	// phaseRetrying: a failed state until the deadline of its next attempt.
	phaseRetrying
	// phaseTask: a task is out.
	phaseTask
	// phaseGroup: branches or iterations are running.
	phaseGroup
	// phaseEnded: the last state was exited; what started the frame is to be told.
	phaseEnded
	// phaseSettled: a task or group has just ended and the state's end follows
	// in the same decision.
	phaseSettled
)

// frame is one line of execution. The fields down to group are folded from
// events; the rest is worked out from the program when it is needed.
type frame struct {
	number int32
	phase  phase
	// removed is true once the frame is no longer part of the execution.
	removed bool
	parent  *frame
	// index is the branch or iteration the frame is.
	index int64

	state string
	// input is the raw input of the state; the frame's output once it ended.
	input     expr.Value
	enteredID int64
	enteredAt int64
	// last is the ID of the event that the frame's next one follows.
	last int64
	vars map[string]expr.Value

	// retries counts the attempts each of the state's retriers has made;
	// retryCount is their sum.
	retries    []int64
	retryCount int64
	deadline   int64
	task       *task
	group      *group

	// machine and def cache what machine and state stand for in the program.
	machine *asl.Machine
	def     *asl.State
}

// task is an attempt of a Task state that is out.
type task struct {
	*history.Task
	state       string
	parameters  expr.Value
	scheduledAt int64
	// timeout and heartbeat are deadlines, 0 for none.
	timeout, heartbeat int64
	started, submitted bool
	submission         expr.Value
}

// group is the running attempt of a Parallel or Map state.
type group struct {
	isMap bool
	// startedID is the event that started it.
	startedID int64
	// length is the number of branches or items; next, the first item whose
	// iteration has not started; done, how many have ended well.
	length, next, done int64
	children           []*frame
	results            []expr.Value
	// freed is the last event inside the child that ended last.
	freed int64

	// items caches a Map's items; limit its concurrency, 0 for none. They are
	// worked out from the state's input when resolved is false.
	items    []expr.Value
	limit    int64
	resolved bool
}

// mayStart reports whether a Map can start another iteration.
func (g *group) mayStart() bool {
	return g.isMap && g.next < g.length && (g.limit == 0 || int64(len(g.children)) < g.limit)
}

// remove takes a child out.
func (g *group) remove(child *frame) {
	g.children = slices.DeleteFunc(g.children, func(c *frame) bool { return c == child })
	child.drop()
}

// drop marks the frame and everything below it as removed.
func (f *frame) drop() { f.each(func(below *frame) { below.removed = true }) }

// variable looks a variable up here and in the enclosing scopes.
func (f *frame) variable(name string) (expr.Value, bool) {
	for ; f != nil; f = f.parent {
		if v, ok := f.vars[name]; ok {
			return v, true
		}
	}
	return expr.Value{}, false
}

// each calls visit for the frame and all below it, outermost first.
func (f *frame) each(visit func(*frame)) {
	visit(f)
	if f.group != nil {
		for _, c := range f.group.children {
			c.each(visit)
		}
	}
}
