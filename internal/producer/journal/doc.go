// Package journal remembers on disk how far a run has come, so that it can go
// on after any crash: which file it reads, which lines it meant to publish,
// which of those the broker has, and what became of each.
//
// A run is a directory under the journal's root:
//
//	<root>/<run>/run.json        the file (path, size, time, hash of its head) and the options that requests depend on
//	<root>/<run>/publish.log     per batch: an intent before it is published, an acknowledgement after
//	<root>/<run>/results.jsonl   one line per finished request, flushed before its event is acknowledged
//	<root>/<run>/lock            held while a process works on the run
//
// # What a line is, after a crash
//
//	in results                      done: never published again; a late event for it is dropped
//	in an acknowledged batch        the broker has it: only its outcome is waited for
//	in a batch without one          in doubt: published again, byte for byte as before
//	beyond the last batch           never published
//
// Publishing a line in doubt again is harmless: the request id is the broker's
// dedup id and the execution's name, and the request's JSON is the same to the
// last byte: trace ids are derived from the run's seed, and whether a trace was
// sampled is written down with the intent. In direct mode there is no execution:
// there, only the broker's dedup window guards the lines in doubt, which are at
// most the batches in flight at the moment of the crash.
//
// # Crash points
//
// At each of these the process may die (kill -9), and the run goes on without
// a loss and without a line in the results twice. The names are those of the
// fault injection in the producer's tests.
//
//	run-created         the directory is there, run.json is not: no run; a new one is made
//	feed-opened         nothing was published: resume starts at line 1
//	intent-torn         publish.log ends inside an intent: nothing of it was published; the tail is cut off
//	intent-written      the intent is there, the broker has nothing: published again
//	batch-half          the broker has a part: published again, that part is dropped by the broker
//	batch-published     the broker has all, the acknowledgement is not written: as before
//	ack-torn            publish.log ends inside an acknowledgement: as if it were not there
//	ack-written         only outcomes are waited for
//	outcome-received    the event was not acknowledged: the feed hands it out again
//	result-torn         results.jsonl ends inside a line: cut off; the event comes again
//	result-flushed      the line is done; the event comes again and is dropped
//	event-acked         nothing is left to do for the line
//	all-done            every line is in the results, run.json does not say so yet: resume finds out and says it
//	run-finished        resume publishes nothing
//
// After a power loss the tail of either file may be missing unless the run
// syncs: lines are then published again, and executions that have ended
// meanwhile are found by asking for them (producer.Describer).
package journal
