package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue/message"
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
	if err := g.send(ctx, s, reason); err != nil {
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
	if _, err := g.broker.sqs.API.SendMessage(ctx, in); err != nil {
		err = g.broker.sqs.Explain("sqs:SendMessage", g.name, err)
		if errors.Is(err, queue.ErrNotFound) {
			g.forget()
		}
		return err
	}
	return nil
}

// letter is the message with the reason.
func (g *grave) letter(s *settler, reason string) (*sqs.SendMessageInput, error) {
	body, attributes, err := message.Letter(&s.delivery.Message, s.attributes, reason)
	if err != nil {
		return nil, err
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
