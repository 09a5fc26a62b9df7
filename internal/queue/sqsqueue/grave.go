package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/queue"
)

// grave is where the rejected messages of a queue go.
type grave struct {
	broker  *Broker
	name    string // full
	account string // "" for the credentials' own
	fifo    bool

	mu  sync.Mutex
	url string // guarded by mu: "" before the first rejection
}

// newGrave takes the dead-letter queue of the redrive policy, else the one
// that is named after the queue.
func newGrave(b *Broker, q Info) *grave {
	g := &grave{broker: b, name: deadLetters(q.Name), fifo: q.FIFO}
	if parts := strings.Split(q.DeadLetters, ":"); len(parts) == 6 { // arn:aws:sqs:region:account:name
		g.account, g.name = parts[4], parts[5]
	}
	return g
}

// bury puts a message on the dead-letter queue, unchanged but for the reason.
// Doing it twice is harmless.
func (g *grave) bury(ctx context.Context, s *settler, reason string) error {
	if s.lost() {
		return queue.ErrLeaseLost
	}
	err := g.send(ctx, s, oneLine(reason))
	if err != nil {
		return fmt.Errorf("move to dead-letter queue: %w", err)
	}
	return nil
}

func (g *grave) send(ctx context.Context, s *settler, reason string) error {
	url, err := g.find(ctx)
	if err != nil {
		return err
	}
	in, err := g.letter(s, reason)
	if err != nil {
		return err
	}
	in.QueueUrl = &url
	if _, err := g.broker.api.SendMessage(ctx, in); err != nil {
		err = g.broker.explain("sqs:SendMessage", g.name, err)
		if errors.Is(err, queue.ErrNotFound) {
			g.forget()
		}
		return err
	}
	return nil
}

// letter is the message with the reason. Its attributes stay as they are, also
// those that are not ours.
func (g *grave) letter(s *settler, reason string) (*sqs.SendMessageInput, error) {
	body, _ := encodeBody(s.delivery.Body)
	attributes := maps.Clone(s.attributes)
	if attributes == nil {
		attributes = make(map[string]types.MessageAttributeValue, 1)
	}
	delete(attributes, queue.DeadLetterReason)
	if len(attributes) == maxAttributes { // not made by encode, which leaves room
		o, err := encode(&s.delivery.Message, queue.Limits{MaxBytes: maxBytes, MaxHeaders: maxAttributes}, false)
		if err != nil {
			return nil, err
		}
		body, attributes = o.body, o.attributes
	}
	const label = len(queue.DeadLetterReason) + len(stringType)
	if reason = cutTo(reason, maxBytes-len(body)-sizeOf(attributes)-label); reason != "" {
		attributes[queue.DeadLetterReason] = text(reason)
	}
	in := &sqs.SendMessageInput{MessageBody: &body, MessageAttributes: attributes}
	if s.group != "" {
		in.MessageGroupId = &s.group
	}
	if g.fifo {
		in.MessageDeduplicationId = &s.messageID
	}
	return in, nil
}

// find looks the dead-letter queue up, once.
func (g *grave) find(ctx context.Context) (string, error) {
	g.mu.Lock()
	url := g.url
	g.mu.Unlock()
	if url != "" {
		return url, nil
	}
	url, err := g.broker.url(ctx, g.name, g.account)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.url = url
	return url, nil
}

func (g *grave) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.url = ""
}

// lost tells that the lease may have passed to somebody else.
func (s *settler) lost() bool { return !time.Now().Before(s.deadline()) }

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
