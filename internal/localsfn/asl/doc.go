// Package asl reads Amazon States Language definitions (JSONPath) into
// programs that the machine runs.
//
// Parse reports everything that is wrong with a definition at once, with the
// place and, where AWS has the same check, in AWS's words. Advice, such as a
// callback task without a timeout, is a finding of severity WARNING and keeps
// nothing from running. A Program is never written to after Parse, so any
// number of goroutines may run it.
//
// Which service integrations there are is not decided here: Walk gives a caller
// every Task state with its Resource taken apart and the path for a finding.
package asl
