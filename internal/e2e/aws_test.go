package e2e

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"callfleet/internal/app/backend"
	"callfleet/internal/awstest"
)

// startOnAWS is start with the queues and the templates on an emulator of SQS
// and DynamoDB, or on what stands in front of it; the Step Functions server is
// ours.
func startOnAWS(t *testing.T, emulator awstest.Emulator, tracers func(service string) trace.TracerProvider) *stack {
	t.Helper()
	cfg := emulator.Config()
	at := place{queue: "sqs://" + awstest.Name("e2e"), templates: "dynamodb://" + awstest.Name("templates"), aws: &cfg}
	b, err := backend.Open(t.Context(), backend.Options{Queue: at.queue, Templates: at.templates, AWS: at.aws, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Setup(t.Context(), backend.SetupOptions{Lease: 30 * time.Second}); err != nil {
		t.Fatal(err)
	}
	return startAt(t, at, tracers)
}
