package message

import (
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/queue"
)

// Letter is the body and the attributes of a message on its way to the
// dead-letter queue: those that it came with, and the reason.
func Letter(m *queue.Message, came map[string]types.MessageAttributeValue, reason string) (body string, attributes map[string]types.MessageAttributeValue, err error) {
	body, _ = encodeBody(m.Body)
	if attributes = maps.Clone(came); attributes == nil {
		attributes = make(map[string]types.MessageAttributeValue, 1)
	}
	delete(attributes, queue.DeadLetterReason)
	if len(attributes) == maxAttributes { // not made by Encode, which leaves room
		o, err := Encode(m, queue.Limits{MaxBytes: MaxBytes, MaxHeaders: maxAttributes}, false)
		if err != nil {
			return "", nil, err
		}
		body, attributes = o.Body, o.Attributes
	}
	const label = len(queue.DeadLetterReason) + len(stringType)
	if reason = cutTo(oneLine(reason), MaxBytes-len(body)-sizeOf(attributes)-label); reason != "" {
		attributes[queue.DeadLetterReason] = text(reason)
	}
	return body, attributes, nil
}

// oneLine makes a reason fit for an attribute.
func oneLine(reason string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0xFFFE || r == 0xFFFF {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(reason, "?"))
	return cutTo(strings.Join(strings.Fields(clean), " "), maxReason)
}

// cutTo cuts s to at most n bytes, between two characters.
func cutTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:max(n, 0)], "")
}
