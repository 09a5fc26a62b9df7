package sqsqueue

import (
	"context"
	"errors"

	"callfleet/internal/queue"
)

var _ queue.Publisher = (*Publisher)(nil)

// Publisher publishes on one queue.
type Publisher struct {
	broker *Broker
	queue  Info
}

func newPublisher(b *Broker, q Info) *Publisher { return &Publisher{b, q} }

// Limits are what SQS takes.
func (p *Publisher) Limits() queue.Limits { return queue.Limits{} }

// Publish sends the messages.
func (p *Publisher) Publish(context.Context, ...queue.Message) error { return errors.ErrUnsupported }

type memories struct{}

func newMemories() *memories { return &memories{} }
