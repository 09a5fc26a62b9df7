package asl

import "strings"

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

// HasToken reports whether tasks of the resource have a task token.
func (r Resource) HasToken() bool {
	return r.Pattern == WaitForTaskToken || r.Integration == Activity
}

// ParseResource takes a resource apart; ok is false if it is none.
func ParseResource(arn string) (r Resource, ok bool) {
	r = Resource{ARN: arn, Shown: arn}
	// arn:partition:service:region:account:rest
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || parts[5] == "" {
		return r, false
	}
	switch {
	case parts[2] == "lambda" && strings.HasPrefix(parts[5], "function:"):
		r.Integration = LambdaARN
		return r, len(parts[5]) > len("function:")
	case parts[2] == "states" && strings.HasPrefix(parts[5], "activity:"):
		r.Integration = Activity
		return r, len(parts[5]) > len("activity:")
	case parts[2] == "states" && parts[3] == "" && parts[4] == "":
		return parseIntegration(r, parts[5])
	}
	return r, false
}

func parseIntegration(r Resource, rest string) (Resource, bool) {
	r.Integration = Service
	if after, found := strings.CutPrefix(rest, "aws-sdk:"); found {
		r.Integration, rest = SDK, after
	}
	service, operation, ok := strings.Cut(rest, ":")
	if !ok || service == "" || operation == "" {
		return r, false
	}
	r.Service, r.Shown, r.ShownType = service, operation, service
	if r.Integration == SDK {
		r.ShownType = "aws-sdk:" + service
	}
	operation, suffix, dotted := strings.Cut(operation, ".")
	r.Operation = operation
	switch suffix {
	case "waitForTaskToken":
		r.Pattern = WaitForTaskToken
	case "sync":
		r.Pattern = Sync
	case "sync:2":
		r.Pattern = Sync2
	default:
		return r, !dotted && operation != ""
	}
	return r, operation != ""
}
