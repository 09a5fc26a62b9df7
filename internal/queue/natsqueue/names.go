package natsqueue

import (
	"fmt"
	"strings"
)

// DeadLetterSuffix makes the name of a queue's dead-letter queue.
const DeadLetterSuffix = "-dlq"

const (
	streamPrefix  = "callfleet-"
	subjectPrefix = "callfleet."
	// fleetConsumer is the durable consumer that all receivers of a queue share.
	fleetConsumer = "fleet"
)

// names are what one queue is called on the server.
type names struct {
	queue      string
	stream     string
	subject    string // of messages that are ready
	later      string // prefix of the subjects of messages with a delay
	deadLetter bool
}

// queueNames derives the names of a queue, or of a feed.
func queueNames(queue string) (names, error) {
	if !isToken(queue) {
		return names{}, fmt.Errorf("name %q: want letters, digits, - and _", queue)
	}
	return names{
		queue:      queue,
		stream:     streamPrefix + queue,
		subject:    subjectPrefix + queue,
		later:      subjectPrefix + queue + ".later.",
		deadLetter: strings.HasSuffix(queue, DeadLetterSuffix),
	}, nil
}

// isToken tells whether s can be one token of a subject and part of a stream
// name anywhere.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= 200
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
