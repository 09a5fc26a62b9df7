// Package sqsqueue is the queue backend on Amazon SQS.
//
// # What is where on AWS
//
//	queue "tasks"         PREFIX-tasks          standard, or PREFIX-tasks.fifo
//	its dead letters      PREFIX-tasks-dlq      that of the redrive policy, if it names another one
//	run of feed "results" PREFIX-results-RUN    made by FeedConsumer, deleted by Feed.End
//
// Queues are made by Broker.Create (or by whoever runs the account); opening a
// queue that is missing is queue.ErrNotFound. A FeedPublisher looks the queue
// of a run up when its first message comes.
//
// # Messages
//
// Body and headers travel as SQS's body and String attributes, so that the
// trace context is readable for everybody. What SQS has no place for is in one
// more attribute, "callfleet", written like the query of a URL: the id, the
// group, how the body is written if SQS takes it only as base64, and headers
// beyond eight or with values that SQS refuses. A message without that
// attribute (of Step Functions, EventBridge, or a person with the AWS CLI) is
// received as it is; its ID is the one that SQS gave it.
//
// The group is SQS's MessageGroupId (hashed if it has characters that SQS
// refuses): a tenant of a fair queue on standard queues, the unit of order on
// FIFO queues, where a message without a group is one of its own.
//
// # Dedup
//
// FIFO queues deduplicate by themselves, for five minutes. Standard queues
// don't: here a process remembers the ids that it published, for two minutes
// at least. That covers a caller who tries again. It does not cover another
// process, a restart, or a request whose answer was lost: there the layers
// above see to it that a message is harmless twice, executions by their name
// and outcomes by their id. SQS itself may deliver a message twice, too.
//
// # Sending and settling
//
// Sends, deletes and changes of visibility share requests, ten to each: an
// entry waits at most Options.Linger for others (package batch). Each has its
// own result; an entry that SQS had trouble with is sent again by itself. The
// SDK repeats whole requests that were throttled, got a 5xx or no answer; what
// still fails then is an error of Publish, in words that say what to do. A
// settlement goes on trying as long as its lease lasts.
//
// # Receiving
//
//	Receive ──► waiting ──► poll: up to 10 messages, 20 s ──┬─► waiting Receive
//	                          │ several while they come full └─► buffer ─► next Receive, or handed back after 1 s
//	                          └─ error ─► pause, poll again; logged once
//
// A poll asks for what Receive calls have asked for, no more: one at a time, and
// up to 32 side by side while they come back full. It does not end with its
// Receive: a request that is cut off may have leased messages that nobody gets
// to see. What it brings goes to the next Receive, or back with visibility 0.
// Close waits a second for polls under way; what one leases after that comes
// again when the lease ends.
//
// Opening a queue fails when it is missing or access is denied. From then on
// all trouble counts as passing, also a queue that vanished and credentials
// that have expired: they come back without a restart of the fleet.
//
// # Leases
//
// The lease is the visibility timeout, set on receipt and by Extend. SQS would
// act on an old receipt now and then, so ErrLeaseLost is decided here, by the
// clock, a tenth of the lease (at most a second) early, and SQS is not asked.
// SQS ends a lease for good 12 hours after the receipt: the last Extend is cut
// to that, the one after it is ErrLeaseLost. Delays are whole seconds, rounded
// up: 15 minutes at most for a message, none on FIFO queues.
//
// A message that was received more than MaxDeliver times is rejected here, with
// a reason; see Broker.Create for what the redrive policy is for.
package sqsqueue
