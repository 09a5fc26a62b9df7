package sqsqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"callfleet/internal/queue"
)

// trouble is what kind of error SQS or the way to it gave.
type trouble string

const (
	noQueue     trouble = "queue missing"
	denied      trouble = "denied"
	credentials trouble = "credentials"
	throttled   trouble = "throttled"
	overLimit   trouble = "too many in flight"
	staleHandle trouble = "stale receipt"
	refused     trouble = "refused"     // a mistake in the request: sending it again is useless
	unreachable trouble = "unreachable" // 5xx, no connection, no answer in time
)

// temporary tells that the same request may succeed later.
func (t trouble) temporary() bool {
	switch t {
	case throttled, overLimit, unreachable, credentials:
		return true
	}
	return false
}

// urgent tells that it may take somebody to end it.
func (t trouble) urgent() bool {
	return t == noQueue || t == denied || t == credentials || t == refused
}

// troubles sorts the codes that SQS and its front doors give. What is not
// listed is told by the class of the error.
var troubles = map[string]trouble{
	"QueueDoesNotExist": noQueue, "AWS.SimpleQueueService.NonExistentQueue": noQueue,

	"AccessDenied": denied, "AccessDeniedException": denied, "UnauthorizedOperation": denied,
	"KmsAccessDenied": denied, "KMS.AccessDeniedException": denied,

	"ExpiredToken": credentials, "ExpiredTokenException": credentials, "RequestExpired": credentials,
	"InvalidClientTokenId": credentials, "UnrecognizedClientException": credentials,
	"InvalidAccessKeyId": credentials, "SignatureDoesNotMatch": credentials, "InvalidSignatureException": credentials,
	"IncompleteSignature": credentials, "MissingAuthenticationToken": credentials, "InvalidSecurity": credentials,
	"AuthFailure": credentials, "RequestTimeTooSkewed": credentials,

	"OverLimit": overLimit, "AWS.SimpleQueueService.OverLimit": overLimit,

	"RequestThrottled": throttled, "KmsThrottled": throttled, "KMS.ThrottlingException": throttled,

	"ReceiptHandleIsInvalid": staleHandle, "MessageNotInflight": staleHandle,
	"AWS.SimpleQueueService.MessageNotInflight": staleHandle, "InvalidReceiptHandle": staleHandle,
}

// troubleOf sorts an error of the SDK.
func troubleOf(err error) trouble {
	var missing *types.QueueDoesNotExist
	if errors.As(err, &missing) {
		return noQueue
	}
	var e smithy.APIError
	if errors.As(err, &e) {
		return troubleOfCode(e.ErrorCode(), e.ErrorFault() == smithy.FaultClient)
	}
	if strings.Contains(err.Error(), "credentials") {
		return credentials // none were found, or their source does not answer
	}
	return unreachable
}

// troubleOfCode sorts a code, of a request or of one entry of a batch.
func troubleOfCode(code string, senderFault bool) trouble {
	if t, ok := troubles[code]; ok {
		return t
	}
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
		return throttled
	}
	if senderFault {
		return refused
	}
	return unreachable
}

// failure is an error of SQS in words: what was asked, of which queue, and
// what to do.
type failure struct {
	trouble trouble
	action  string // sqs:SendMessage
	queue   string // calls-tasks
	region  string
	err     error
}

func (b *Broker) explain(action, full string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) { // nobody waits for it any more
		return err
	}
	return &failure{trouble: troubleOf(err), action: action, queue: full, region: b.region, err: err}
}

func (f *failure) Error() string {
	where := fmt.Sprintf("%s in %s", f.queue, f.region)
	switch f.trouble {
	case noQueue:
		return fmt.Sprintf("SQS has no queue %s: make it with \"producer setup\" or deploy/cdk", where)
	case denied:
		return fmt.Sprintf("%s on %s is denied: allow it to the role or user of these credentials: %v", f.action, where, f.err)
	case credentials:
		return fmt.Sprintf("%s on %s: the credentials have expired or are not valid: renew them, or check the clock: %v", f.action, where, f.err)
	case throttled:
		return fmt.Sprintf("%s on %s: SQS throttles the requests: send slower, or ask AWS for more: %v", f.action, where, f.err)
	case overLimit:
		return fmt.Sprintf("%s on %s: too many messages are in flight (120,000 are the most): settle some, or receive less: %v", f.action, where, f.err)
	case unreachable:
		return fmt.Sprintf("%s on %s: SQS can't be reached or has trouble of its own: try again, or check AWS_ENDPOINT_URL and the network: %v", f.action, where, f.err)
	}
	return fmt.Sprintf("%s on %s: %v", f.action, where, f.err)
}

// Unwrap gives the seam's error, and the SDK's.
func (f *failure) Unwrap() []error {
	switch f.trouble {
	case noQueue:
		return []error{queue.ErrNotFound, f.err}
	case staleHandle:
		return []error{queue.ErrLeaseLost, f.err}
	}
	return []error{f.err}
}
