// Package natsqueue is the queue backend on NATS JetStream.
//
// # What is where on the server
//
//	queue "tasks"          stream    callfleet-tasks        work queue: a message is kept until it is acked
//	                       subject   callfleet.tasks        messages that are ready
//	                       subject   callfleet.tasks.later.<id>   messages with a delay, one schedule each
//	                       consumer  fleet                  durable, shared by everybody who receives
//	its dead letters       stream    callfleet-tasks-dlq    kept 14 days, or until acked there
//	                       subject   callfleet.tasks-dlq
//	                       consumer  fleet
//	feed "results"         stream    callfleet-results      work queue: kept until its run has acked it, 7 days at most
//	                       subject   callfleet.results.run.<run>
//	                       consumer  <run>                  durable, one per run
//
// Streams and consumers are made by whoever opens a queue first.
//
// # How the promises of the seam are kept
//
// Publish sends in a sliding window and returns when the server has answered
// for every message. What was not answered (the server restarted) is sent
// again until the context ends; Message.ID makes that exactly once on the
// queue, by the server's dedup window.
//
// Delay becomes a schedule on the server from 250 ms on, which is the least it
// keeps exactly; a shorter delay is waited out by Publish. The server drops the
// dedup id of a scheduled message when it is due, so the id travels in a
// header of ours as well.
//
// Receive asks for "up to max messages, whatever there is as soon as there is
// anything". The request ends with the first messages, so nothing is fetched
// ahead and nothing ages in a buffer here. A request that is left (context,
// Close, lost connection) is unsubscribed, and what was already on its way is
// handed back at once; that counts as one receipt of those messages.
//
//	Receive ──► idle puller ──► request ──► messages, "no more" ──► idle again
//	                              │
//	                              └─ context, Close, reconnect ──► drained: stragglers handed back
//
// The lease is the consumer's ack wait. Ack, Retry and Extend return when the
// server has recorded them. The server does not refuse an ack from a receiver
// whose lease has ended, so ErrLeaseLost is decided here, by the clock, a tenth
// of the lease (at most a second) early; or when the server does not answer.
//
// MaxDeliver is kept here too: in a work queue the server would stop
// delivering the message and keep it for ever. Receive moves it to the
// dead-letter queue instead.
//
// A restart of the server, or of all of them, needs nothing to be restarted
// here. Acked publishes and acks survive kill -9 of the server.
package natsqueue
