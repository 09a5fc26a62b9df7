package handoff

import (
	"context"

	"callfleet/internal/localsfn/expr"
)

// dynamo are the four operations on items.
type dynamo struct{ get, put, update, delete integration }

// unconfigured fails every operation.
func unconfigured(context.Context, *Call, params) (expr.Value, error) {
	return expr.Value{}, &Failure{Name: "DynamoDB.ResourceNotFoundException", Cause: "no table is configured (set CALLFLEET_TEMPLATES or CALLFLEET_DYNAMODB_ENDPOINT)"}
}

// dynamoFailure words an error of DynamoDB.
func dynamoFailure(code, message string) *Failure {
	return serviceFailure("DynamoDB", "AmazonDynamoDBv2", code, message, 400)
}
func (h *Handoff) localDynamo() dynamo {
	return dynamo{unconfigured, unconfigured, unconfigured, unconfigured}
}
func (h *Handoff) remoteDynamo() dynamo {
	return dynamo{unconfigured, unconfigured, unconfigured, unconfigured}
}
