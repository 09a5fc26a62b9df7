package asl

import (
	"time"

	"callfleet/internal/localsfn/asl/condition"
	"callfleet/internal/localsfn/expr"
)

// Program is a checked definition, ready to run.
type Program struct {
	*Machine
	Comment, Version string
	// Timeout bounds an execution as a whole; 0 is no bound.
	Timeout time.Duration
}

// Walk calls visit for every state, those of branches and item processors
// included.
func (p *Program) Walk(visit func(*State)) { p.Machine.walk(visit) }

func (m *Machine) walk(visit func(*State)) {
	for _, name := range m.Order {
		s := m.States[name]
		visit(s)
		for _, b := range s.Branches {
			b.walk(visit)
		}
	}
}

// Machine is a set of states: a program's, a branch's or an item processor's.
type Machine struct {
	StartAt string
	States  map[string]*State
	// Order lists the state names as written.
	Order []string
}

// Kind is the type of a state.
type Kind uint8

// The kinds of state.
const (
	Pass Kind = iota + 1
	Task
	Choice
	Wait
	Succeed
	Fail
	Parallel
	Map
)

// State is one state. The fields below the common ones belong to the kinds
// their comments name.
type State struct {
	Name string
	Kind Kind
	// Path is where the definition has it, as findings name it.
	Path string
	// Next is the following state, "" if the state ends its machine.
	Next string

	// Input and Output are InputPath and OutputPath.
	Input, Output Filter
	// Parameters is nil if the state has none; for a Map it is the
	// ItemSelector.
	Parameters *expr.Template
	// ResultSelector is nil if the state has none.
	ResultSelector *expr.Template
	// ResultPath is nil for "$"; DiscardResult is "ResultPath": null.
	ResultPath    *expr.Reference
	DiscardResult bool
	// Assign is nil if the state assigns no variables.
	Assign *expr.Template
	Retry  []Retrier
	Catch  []Catcher

	// Result is a Pass state's Result, or absent.
	Result expr.Value

	// Resource, Timeout, Heartbeat and Credentials are a Task's.
	Resource           Resource
	Timeout, Heartbeat Amount
	Credentials        *expr.Template

	// Rules and Default are a Choice's.
	Rules   []Rule
	Default string

	// Delay is a Wait's.
	Delay Delay

	// Error and Cause are a Fail's.
	Error, Cause Text

	// Branches are a Parallel's, or a Map's single item processor.
	Branches []*Machine
	// Items and MaxConcurrency are a Map's. MaxConcurrency 0 is no limit.
	Items          *expr.Path
	MaxConcurrency Amount
	Tolerated      Tolerance

	// variables are those its own fields refer to.
	variables []string
	// opaque marks a state that could not be read: it may lead anywhere.
	opaque bool
}

// Filter is an InputPath or OutputPath.
type Filter struct {
	// Path is nil for "$".
	Path *expr.Path
	// Discard is a path of null: the value becomes {}.
	Discard bool
}

// Amount is a whole number, written in the definition or read at run time.
type Amount struct {
	Value int64
	Path  *expr.Path
	// Set tells a written 0 from nothing.
	Set bool
}

// Given reports whether there is a number or a path.
func (a Amount) Given() bool { return a.Set || a.Path != nil }

// Text is a string, written in the definition or evaluated at run time.
type Text struct {
	Value *string
	Expr  *expr.Expr
}

// Tolerance is how many failed iterations a Map accepts.
type Tolerance struct {
	Count, Percentage Amount
}

// Delay is how long a Wait state waits: one of the four.
type Delay struct {
	Seconds       int64
	SecondsPath   *expr.Path
	Timestamp     time.Time
	TimestampPath *expr.Path
}

// Retrier is one entry of Retry.
type Retrier struct {
	Errors      []string
	Interval    time.Duration
	MaxAttempts int64
	BackoffRate float64
	// MaxDelay is 0 when there is none.
	MaxDelay time.Duration
	// FullJitter is JitterStrategy FULL.
	FullJitter bool
}

// Catcher is one entry of Catch.
type Catcher struct {
	Errors        []string
	ResultPath    *expr.Reference
	DiscardResult bool
	Assign        *expr.Template
	Next          string
}

// Rule is one entry of Choices.
type Rule struct {
	Condition condition.Condition
	Assign    *expr.Template
	Next      string
}
