// Package handoff calls the services that Task states name: DynamoDB, SQS and
// Lambda, each against what the process has (a table, a queue of its broker, an
// HTTP endpoint) or against a real endpoint over the AWS SDK.
//
// An integration takes the task's parameters and returns the output that AWS
// Step Functions would show, or a *Failure with AWS's error name and cause.
// Calls may be repeated after a crash: a message is sent under an id that the
// queue drops the second time, everything else is simply done again.
package handoff
