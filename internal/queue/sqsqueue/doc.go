// Package sqsqueue is the queue backend on Amazon SQS.
package sqsqueue
