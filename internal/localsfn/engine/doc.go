// Package engine runs executions: it loads one, lets the machine decide,
// appends what was decided to the log, and only then acts on it.
//
//	StartExecution   SendTask*   a service's answer   a deadline   a restart
//	      └──────────────┴──────────────┬──────────────────┴───────────┘
//	                                    ▼  one at a time per execution (live.mu)
//	                      load: records of the log → Execution.Apply
//	                      machine.Decide → events
//	                      store.Append ──── conflict: throw away, load, decide again
//	                                    │   failed:   throw away, load later; nothing was acted on
//	                                    ▼
//	                      act: hand off new tasks, set the one timer, report the end
//
// A crash between append and act costs nothing: a restart loads every open
// execution and acts on all it owes again. Acting twice is harmless: messages
// carry the task's id, by which the queue drops the second, reads are repeated,
// and an answer for a task that is settled changes nothing.
//
// One thing is done before it is in the log: a read of a store of this process
// (Caller.Reads), which is no act. Its answer goes into the record of the
// decision that asked for it.
//
// Several engines may share one log: the append that names an older last
// record loses, loads what the other wrote and decides again.
//
// # Status-change events
//
// An execution's end is reported on a queue, at least once. What is owed needs
// no record of its own: each engine writes down once a second up to which
// sequence of the log the ends that it appended are published, and each ending
// record names the engine that appended it. A start publishes again what lies
// above the mark of its writer. The queue drops repetitions within its dedup
// window by their id, the execution's ARN and status.
//
// Lock order: live.mu, then shard.mu or outbox.mu; never the other way.
package engine
