// Package limit shares limits among the workers of a fleet: each flow key has a
// rate, a concurrency and a state, and a call over its limit waits for its
// turn, beside the calls of other keys.
//
// # What is shared
//
// All that the fleet knows of a key is one Record, one value of a store, changed
// by compare-and-set alone. Its methods are pure: whatever workers do in
// whatever order, each change starts from the one before it, so that the sum of
// what they have leased never exceeds the policy.
//
//	            store: key → Record {policy, schedule, members, pause, circuit}
//	              ▲ compare-and-set            │ watch
//	   lease      │                            ▼
//	worker ── flow.serve: what do the waiting calls need? ── dispatch ──► Turn.Begin returns
//	              ▲                                                          │ the call
//	              └── queue of the key ◄── Turn.wait (no slot is held)       ▼
//	                                                       Turn.End: pause, circuit, permit back
//
// # Rate
//
// The rate is a schedule of tokens, evenly spaced: Next is the first that is not
// leased. A worker leases a block of them, up to a horizon ahead. A token is used
// from its time on and no later than late after it; what nobody has leased is
// lost but for catchUp. So in any window w at most (w+late+catchUp)·rate+1 calls
// begin, which over 10 s is 3.5 % more than the limit. A block is small enough
// that the workers' tokens lie side by side, and is asked for before the last one
// has run out, so that as long as calls wait no token is lost.
//
// # Concurrency
//
// Each member holds a number of permits until its lease ends; they add up to no
// more than the policy. It takes its fair part of what others have left, and
// gives back what is above it when another has too little. What cannot be divided
// goes round. A worker that dies keeps its permits for LeaseTime and skew.
//
// # State
//
//	open ──429, 503──► held ──its time──► ramp ──8 s──► open      (Hold: fleet-wide, no attempt)
//	open ──failures──► tripped ──probe passed──► ramp             (one probe in the fleet at a time)
//	any  ──owner─────► paused ──owner──► as before
//
// A ramp is a rate that doubles every second. A key without a record costs its
// calls a map lookup, and a failed call of such a key begins to count its health.
package limit
