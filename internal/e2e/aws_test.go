package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/awstest"
	"callfleet/internal/evidence"
)

// onAWS is a place on an emulator of SQS and DynamoDB, or on what stands in
// front of it, with all that has to be made there before.
func onAWS(t *testing.T, emulator awstest.Emulator) place {
	t.Helper()
	cfg := emulator.Config()
	at := place{queue: "sqs://" + awstest.Name("e2e"), templates: "dynamodb://" + awstest.Name("templates"), aws: &cfg}
	setUp(t, backend.Options{Queue: at.queue, Templates: at.templates, AWS: at.aws, Logger: evidence.Logger(t)})
	return at
}

// onMoto is onAWS with the state machine there too, in place of our server.
func onMoto(t *testing.T, emulator awstest.Emulator) place {
	t.Helper()
	at := onAWS(t, emulator)
	at.machine, at.batches = awstest.Name("call-api"), awstest.Name("call-batch")
	b := setUp(t, backend.Options{
		Queue: at.queue, Templates: at.templates, StepFunctions: "aws:", StateMachine: at.machine, BatchMachine: at.batches, AWS: at.aws, Logger: evidence.Logger(t),
	})
	events, err := b.SQS().URL(t.Context(), backend.Results)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var rules sync.WaitGroup
	for _, machine := range []string{b.Executions.Machine(), b.Batches.Machine()} {
		rules.Go(func() { awstest.NewEventBridge(awstest.Moto(t).Config(), machine, events).Run(ctx) })
	}
	t.Cleanup(func() { cancel(); rules.Wait() })
	return at
}

func setUp(t *testing.T, o backend.Options) *backend.Backend {
	t.Helper()
	b, err := backend.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if _, err := b.Setup(t.Context(), backend.SetupOptions{Lease: 30 * time.Second, Role: "arn:aws:iam::" + awstest.Account + ":role/callfleet"}); err != nil {
		t.Fatal(err)
	}
	return b
}
