// Package api serves the Step Functions API over HTTP: AWS JSON 1.0, one POST
// per call, the operation in the header X-Amz-Target, so that the AWS SDKs and
// the CLI work against it unchanged.
//
//	POST / HTTP/1.1
//	Content-Type: application/x-amz-json-1.0
//	X-Amz-Target: AWSStepFunctions.StartExecution
//
//	{"stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:call-api", "name": "…", "input": "{}"}
//
// Errors have AWS's types, texts and status codes. Signatures are not checked:
// bind the server to a loopback address, or put something that authenticates
// in front of it.
package api
