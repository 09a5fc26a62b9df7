// Package localsfn is a Step Functions-compatible server: the API that AWS
// speaks, the Amazon States Language, executions that survive kill -9, on
// JetStream. Server wires its parts together; only internal/app uses it.
//
//	api      AWS JSON 1.0 over HTTP
//	engine   load, decide, append, act; tokens, timers, recovery, events
//	machine  what follows from what: pure                asl, expr: definitions
//	store    event log and state machines on JetStream   history: events and their forms
//	handoff  DynamoDB, SQS, Lambda
package localsfn
