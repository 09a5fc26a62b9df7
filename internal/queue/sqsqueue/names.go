package sqsqueue

import (
	"fmt"
	"strings"
)

// DeadLetterSuffix makes the name of a queue's dead-letter queue; in FIFO form
// ".fifo" follows.
const DeadLetterSuffix = "-dlq"

const (
	fifoSuffix = ".fifo"
	// maxName is the length of a queue's name that SQS takes, with ".fifo".
	maxName = 80
)

// names derives the names of queues on AWS from the fleet's.
type names struct {
	prefix string
	fifo   bool
}

// queue is the full name of a queue of the fleet: "tasks" is "calls-tasks".
func (n names) queue(name string) (string, error) {
	full := n.prefix + "-" + name
	if !isName(name) {
		return "", fmt.Errorf("name %q: want letters, digits, - and _", name)
	}
	return n.finish(full)
}

// run is the full name of a run's own queue of a feed.
func (n names) run(feed, run string) (string, error) {
	if !isName(run) || strings.Contains(run, "-") {
		return "", fmt.Errorf("run %q: want letters, digits and _", run)
	}
	return n.queue(feed + "-" + run)
}

func (n names) finish(full string) (string, error) {
	if n.fifo {
		full += fifoSuffix
	}
	if len(full) > maxName {
		return "", fmt.Errorf("queue name %s: %d characters, SQS takes %d: choose a shorter prefix", full, len(full), maxName)
	}
	return full, nil
}

// deadLetters is the name of a queue's dead-letter queue, from full name to
// full name.
func deadLetters(full string) string {
	base, fifo := strings.CutSuffix(full, fifoSuffix)
	if fifo {
		return base + DeadLetterSuffix + fifoSuffix
	}
	return base + DeadLetterSuffix
}

// isDeadLetters tells whether a full name is that of a dead-letter queue.
func isDeadLetters(full string) bool {
	return strings.HasSuffix(strings.TrimSuffix(full, fifoSuffix), DeadLetterSuffix)
}

// isName tells whether s can be part of a queue's name.
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetterOrDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

func isLetterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
