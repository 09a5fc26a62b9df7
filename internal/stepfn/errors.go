package stepfn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

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
	// ErrDenied says that the credentials lack a permission.
	ErrDenied = errors.New("access denied")
	// ErrCredentials says that there are no credentials, or that the API does
	// not accept them (any more).
	ErrCredentials = errors.New("no valid AWS credentials")
)

// skewNoticed is the difference of clocks that is worth a word: signatures are
// refused from five minutes on.
const skewNoticed = 4 * time.Minute

// translate is the one place where errors of the SDK become ours. It matches
// by code, for a server may send codes that the SDK's model has no type for.
func (c *Client) translate(err error, operation string) error {
	return c.explain(err, operation, true)
}

// translateStart is translate for StartExecution: an ARN that is none, or none
// of this region, is a mistake in the settings and not in the request.
func (c *Client) translateStart(err error, operation string) error {
	if code := codeOf(err); code == "InvalidArn" || code == "StateMachineDeleting" {
		return c.missing(operation, code)
	}
	return c.explain(err, operation, true)
}

// translateTask is translate for the calls that carry a task token and what
// became of the task: messages quote them, so the code has to say it all.
func (c *Client) translateTask(err error, operation string) error {
	return c.explain(err, operation, false)
}

// explain says what went wrong and the way out; quote adds the API's message.
func (c *Client) explain(err error, operation string, quote bool) error {
	if err == nil {
		return nil
	}
	var missing *noCredentialsError
	if errors.As(err, &missing) {
		return fmt.Errorf("%s: %w: set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role: %w", operation, ErrCredentials, missing.err)
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	said := api.ErrorCode()
	if quote && api.ErrorMessage() != "" {
		said += ": " + api.ErrorMessage()
	}
	switch sentinel := sentinelOf(err, api.ErrorCode()); {
	case api.ErrorCode() == "StateMachineDoesNotExist":
		return c.missing(operation, api.ErrorCode())
	case sentinel == ErrDenied:
		return fmt.Errorf("%s: %w: these credentials may not %s: allow it to their role or user (deploy/cdk does): %s", operation, ErrDenied, actionOf(err), said)
	case sentinel == ErrCredentials:
		c.credentials.refused()
		return fmt.Errorf("%s: %w: %s: %s", operation, ErrCredentials, wayOut(err, api.ErrorCode()), said)
	case sentinel != nil:
		return fmt.Errorf("%s: %w: %s", operation, sentinel, said)
	case quote:
		return fmt.Errorf("%s: %w", operation, err)
	}
	return fmt.Errorf("%s: %s", operation, said)
}

// missing says that the state machine is not there.
func (c *Client) missing(operation, code string) error {
	return fmt.Errorf(`%s: state machine %s %w at %s: make it with "producer setup" or deploy/cdk, or name another in CALLFLEET_STATE_MACHINE: %s`,
		operation, c.stateMachine, ErrNotFound, c.place, code)
}

func sentinelOf(err error, code string) error {
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
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired":
		return ErrDenied
	case "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId",
		"MissingAuthenticationTokenException", "MissingAuthenticationToken",
		"InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature", "IncompleteSignatureException",
		"RequestExpired", "RequestTimeTooSkewed":
		return ErrCredentials
	}
	if isThrottling(err, code) {
		return ErrThrottled
	}
	return nil
}

// isThrottling knows AWS's codes, and what a proxy in between answers.
func isThrottling(err error, code string) bool {
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
		return true
	}
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusTooManyRequests
}

// wayOut is what to do about credentials that were refused.
func wayOut(err error, code string) string {
	switch code {
	case "InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed":
		if d := skew(err); d > skewNoticed {
			return fmt.Sprintf("the clock of this machine is %s off that of AWS: set it", d.Round(time.Second))
		}
		return "the signature does not fit: check AWS_SECRET_ACCESS_KEY, and the clock of this machine"
	case "ExpiredTokenException", "ExpiredToken":
		return "they have expired: renew them (aws sso login, or a new AWS_SESSION_TOKEN)"
	}
	return "AWS does not know them: check AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN"
}

// skew is how far the clock of this machine is from that of the answer.
func skew(err error) time.Duration {
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.Response == nil {
		return 0
	}
	date, err := http.ParseTime(answer.Response.Header.Get("Date"))
	if err != nil {
		return 0
	}
	return time.Since(date).Abs()
}

// actionOf is the permission that a call takes.
func actionOf(err error) string {
	var op *smithy.OperationError
	if errors.As(err, &op) {
		return "states:" + op.Operation()
	}
	return "do this"
}

// codeOf is the API's error code, "" without one.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// sameJSON compares what two texts say, whatever the white space.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
