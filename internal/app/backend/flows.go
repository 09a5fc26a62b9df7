package backend

import (
	"context"

	"callfleet/internal/limit/store"
	"callfleet/internal/limit/store/dynamolimits"
	"callfleet/internal/limit/store/natslimits"
)

// defaultTemplates is the table that the one of flow keys is named after where
// templates are in none.
const defaultTemplates = "API_Template_Table"

// FlowTable is the DynamoDB table of the flow keys, "" where they are
// elsewhere.
func (b *Backend) FlowTable() string {
	if _, ok := b.queues.(*natsBroker); ok {
		return ""
	}
	return orDefault(TableOf(b.options.Templates), defaultTemplates) + "-flows"
}

// Flows opens where the fleet shares its flow keys: beside the queue on NATS,
// where it is made if it is missing; a table in DynamoDB otherwise, which is not
// asked anything yet.
func (b *Backend) Flows(ctx context.Context) (store.Store, error) {
	if nats, ok := b.queues.(*natsBroker); ok {
		s, err := natslimits.New(ctx, nats.conn, natslimits.Options{})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := b.flowTable(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (b *Backend) flowTable(ctx context.Context) (*dynamolimits.Store, error) {
	cfg, err := b.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	return dynamolimits.New(cfg, dynamolimits.Options{Table: b.FlowTable()})
}
