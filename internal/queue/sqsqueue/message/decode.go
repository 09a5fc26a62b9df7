package message

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/queue"
)

// Decode is Encode backwards. A message that Encode did not make, such as one
// of Step Functions, EventBridge or the AWS CLI, is taken as it is, and its ID
// is the one that SQS gave it.
func Decode(raw *types.Message) (queue.Message, error) {
	m, err := decode(raw)
	if from := raw.Attributes[string(types.MessageSystemAttributeNameDeadLetterQueueSourceArn)]; from != "" {
		explainMove(&m, from)
	}
	return m, err
}

func decode(raw *types.Message) (queue.Message, error) {
	m := queue.Message{Body: []byte(aws.ToString(raw.Body)), Group: raw.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]}
	if len(raw.MessageAttributes) > 0 {
		m.Headers = make(map[string]string, len(raw.MessageAttributes))
	}
	meta, own := "", false
	for name, v := range raw.MessageAttributes {
		value := string(v.BinaryValue)
		if v.StringValue != nil {
			value = *v.StringValue
		}
		if name == metaName && (value == metaMark || strings.HasPrefix(value, metaMark+"&")) {
			meta, own = value, true
			continue
		}
		m.Headers[name] = value
	}
	if !own {
		m.ID = aws.ToString(raw.MessageId)
		return m, nil
	}
	m.Group = "" // what SQS has may be a hash, or stand for none
	if err := takeMeta(&m, meta); err != nil {
		return m, err
	}
	if len(m.Headers) == 0 {
		m.Headers = nil
	}
	return m, nil
}

// takeMeta reads the meta attribute.
func takeMeta(m *queue.Message, meta string) error {
	for part := range strings.SplitSeq(meta, "&") {
		name, escaped, _ := strings.Cut(part, "=")
		value, err := url.QueryUnescape(escaped)
		if err != nil {
			return fmt.Errorf("attribute %s: %w", metaName, err)
		}
		switch {
		case name == "id":
			m.ID = value
		case name == "group":
			m.Group = value
		case name == "body":
			if err := decodeBody(m, value); err != nil {
				return err
			}
		case strings.HasPrefix(name, "h."):
			m.Headers[name[len("h."):]] = value
		}
	}
	return nil
}

func decodeBody(m *queue.Message, form string) error {
	switch form {
	case bodyEmpty:
		m.Body = nil
	case bodyBase64:
		n, err := base64.StdEncoding.Decode(m.Body, m.Body)
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		m.Body = m.Body[:n]
	default:
		return fmt.Errorf("attribute %s: body form %q is not known here", metaName, form)
	}
	return nil
}

// Sent is when SQS got the message.
func Sent(raw *types.Message) time.Time {
	ms, err := strconv.ParseInt(raw.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Attempt is how often SQS gave the message out, with this time.
func Attempt(raw *types.Message) int {
	n, err := strconv.Atoi(raw.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	if err != nil {
		return 1
	}
	return max(n, 1)
}

// explainMove gives a reason to a message that SQS itself moved to its
// dead-letter queue.
func explainMove(m *queue.Message, from string) {
	if m.Headers[queue.DeadLetterReason] != "" {
		return
	}
	if m.Headers == nil {
		m.Headers = make(map[string]string, 1)
	}
	m.Headers[queue.DeadLetterReason] = "received too often: moved by the redrive policy of " + from
}
