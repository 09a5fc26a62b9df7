// Package producer publishes the calls of a file, follows each to its outcome
// and writes down what became of it; it also makes single calls.
//
//	call file ─► read ─► check ─► window ─► intent ─► publish ─► acknowledgement
//	               │        │                 └───── publish.log ──────┘
//	               │        └─ bad line ─┐
//	               │                     ▼
//	 feed of outcomes ─► match ─► results.jsonl ─► acknowledge the event
//	                       ▲
//	         Describer ────┘ when the feed has been silent, and after a resume
//
// At most Options.Window requests are without an outcome at any time: that
// bounds memory and what waits on the queue. A request's id is the run's id
// and the line's number, or the id that the line gives itself; either all
// lines of a file have ids or none has, so that no two can be the same. Own ids
// are checked for duplicates among the last 262,144 lines; one from farther back
// is not called twice either, because the id names the execution: its line gets
// the outcome of the first.
//
// What survives which crash is written in package journal.
package producer
