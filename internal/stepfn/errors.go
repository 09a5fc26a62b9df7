package stepfn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"

	"callfleet/internal/call"
)

// What callers branch on, besides call.ErrTaskGone.
var (
	// ErrNameTaken says that an execution of that name exists with another
	// input.
	ErrNameTaken = errors.New("an execution of that name exists with another input")
	// ErrThrottled says that the quota of the account is used up for now.
	ErrThrottled = errors.New("throttled by step functions")
	// ErrInvalid says that the request is wrong in itself: no attempt will
	// succeed.
	ErrInvalid = errors.New("not accepted by step functions")
	// ErrNotFound says that the execution or state machine does not exist.
	ErrNotFound = errors.New("not found")
)

// translate is the one place where errors of the SDK become ours. It matches
// by code, for a server may send codes that the SDK's model has no type for.
func translate(err error, operation string) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if sentinel := sentinelOf(api.ErrorCode()); sentinel != nil {
		return fmt.Errorf("%s: %w: %s: %s", operation, sentinel, api.ErrorCode(), api.ErrorMessage())
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// translateTask is translate for the calls that carry a task token and what
// became of the task: messages quote them, so the code has to say it all.
func translateTask(err error, operation string) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return translate(err, operation)
	}
	if sentinel := sentinelOf(api.ErrorCode()); sentinel != nil {
		return fmt.Errorf("%s: %w: %s", operation, sentinel, api.ErrorCode())
	}
	return fmt.Errorf("%s: %s", operation, api.ErrorCode())
}

func sentinelOf(code string) error {
	switch code {
	case "TaskTimedOut", "InvalidToken", "TaskDoesNotExist":
		return call.ErrTaskGone
	case "ExecutionAlreadyExists":
		return ErrNameTaken
	case "ExecutionDoesNotExist", "StateMachineDoesNotExist":
		return ErrNotFound
	case "InvalidName", "InvalidExecutionInput", "InvalidOutput", "InvalidDefinition", "InvalidArn",
		"ValidationException", "SerializationException":
		return ErrInvalid
	// A quota of open executions that is used up passes, as a rate does.
	case "ExecutionLimitExceeded", "ServiceQuotaExceededException":
		return ErrThrottled
	}
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
		return ErrThrottled
	}
	return nil
}

// sameJSON compares what two texts say, whatever the white space.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
