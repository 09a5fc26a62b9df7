// Package e2e drives the whole product in one process, on real parts: a broker,
// the Step Functions server behind its HTTP API, a fleet member, a producer, and
// APIs to call. It is tests alone: what the parts promise each other is seen
// here only.
//
//	stack_test.go    the parts, wired as the programs wire them
//	api_test.go      an API that answers as a test says
//	trace_test.go    one call is one trace
//	hostile_*.go     what templates, params, APIs, messages and definitions may try
package e2e
