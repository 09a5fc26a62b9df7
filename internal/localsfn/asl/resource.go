package asl

// Integration is how a Task state's resource is called.
type Integration uint8

// The integrations.
const (
	// LambdaARN is a function named directly: LambdaFunction events.
	LambdaARN Integration = iota + 1
	// Activity is an activity's ARN.
	Activity
	// Service is an optimised integration: arn:aws:states:::sqs:sendMessage.
	Service
	// SDK is arn:aws:states:::aws-sdk:service:operation.
	SDK
)

// Pattern is what a Task state waits for.
type Pattern uint8

// The patterns.
const (
	// RequestResponse waits for the service's answer.
	RequestResponse Pattern = iota
	// WaitForTaskToken waits for SendTaskSuccess or SendTaskFailure.
	WaitForTaskToken
	// Sync waits for the job that was started; Sync2 differs in its output.
	Sync
	Sync2
)

// Resource is a Task state's resource, taken apart.
type Resource struct {
	// ARN is the text in the definition.
	ARN         string
	Integration Integration
	// Service is "sqs", "lambda", or for the SDK "dynamodb"; Operation is
	// "sendMessage", without its pattern.
	Service, Operation string
	Pattern            Pattern
	// Shown and ShownType are what the history shows: "sendMessage.waitForTaskToken"
	// and "sqs" or "aws-sdk:dynamodb". ShownType is "" for an ARN.
	Shown, ShownType string
}

// ParseResource takes a resource apart; ok is false if it is none.
func ParseResource(arn string) (r Resource, ok bool) { return Resource{ARN: arn}, false }
