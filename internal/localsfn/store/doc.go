// Package store keeps what the engine must not lose: the event log of every
// execution and the definitions of state machines, both on JetStream.
//
// The log is one file stream. Each execution is one subject, each message on
// it is one decision, and every append names the sequence of the subject's
// last message, so that of two writers exactly one wins:
//
//	<prefix>.log.<machine>.<execution>     seq 7  Sfn-Meta: RUNNING …   decision 1
//	                                       seq 9  Sfn-Meta: RUNNING …   decision 2
//	                                       seq 12 Sfn-Meta: SUCCEEDED … decision 3, the last one
//
// The Sfn-Meta header repeats what a list of executions shows, so that a start
// reads one header per execution and the bodies of the open ones only. Bodies
// are opaque here.
//
// Appends are published synchronously: they return when the broker has the
// message in its file. That survives the death of any process; power loss too
// when the broker syncs always.
package store
