// Package machine runs a program: given an execution's state and something
// that happened, it decides which events follow. It has no clock, no
// randomness and does no I/O; time and random bits come in with Env.
//
//	       input (started, task answered, deadline passed, stop …)
//	         │
//	         ▼
//	┌──► Decide ──► events ──► Execution.Apply (the fold: the only place state changes)
//	│               │
//	│               ▼
//	│           persist (the caller appends them to the log)
//	│               │
//	│               ▼
//	│           act: CommandsSince, NextDeadline
//	└───────────────┘
//
// Decide folds the events it makes into the execution it was given, so after
// Decide the execution is already in the new state: if persisting fails, throw
// the execution away and replay. Replaying is Apply of every event in order;
// it needs no program. Acting comes after persisting and may happen twice: a
// command names its task by the number of the event that scheduled it, and an
// answer for a task that is settled makes no events.
//
// Lines of execution are frames: the execution itself is frame 0; each branch
// of a Parallel state and each iteration of a Map state is a frame below the
// one whose state started it. A decision runs every frame on until it needs
// something from outside, one frame after the other.
//
// Below this package are pure helpers: field evaluates fields that are read at
// run time, fault words errors and matches them to retriers and catchers,
// contextobject builds "$$", token writes task tokens, eventtype names events.
package machine
