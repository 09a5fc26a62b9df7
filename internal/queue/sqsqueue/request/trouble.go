package request

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

// Trouble is what kind of error SQS or the way to it gave.
type Trouble string

// ErrDenied says that the credentials lack a permission; the text before it
// names the action and the queue.
var ErrDenied = errors.New("access denied")

// The kinds of trouble.
const (
	NoQueue     Trouble = "queue missing"
	Denied      Trouble = "denied"
	Credentials Trouble = "credentials"
	Throttled   Trouble = "throttled"
	OverLimit   Trouble = "too many in flight"
	StaleHandle Trouble = "stale receipt"
	Refused     Trouble = "refused"     // a mistake in the request: sending it again is useless
	Unreachable Trouble = "unreachable" // 5xx, no connection, no answer in time
)

// Temporary tells that the same request may succeed later.
func (t Trouble) Temporary() bool {
	switch t {
	case Throttled, OverLimit, Unreachable, Credentials:
		return true
	}
	return false
}

// Urgent tells that it may take somebody to end it.
func (t Trouble) Urgent() bool {
	return t == NoQueue || t == Denied || t == Credentials || t == Refused
}

// troubles sorts the codes that SQS and its front doors give. What is not
// listed is told by the class of the error.
var troubles = map[string]Trouble{
	"QueueDoesNotExist": NoQueue, "AWS.SimpleQueueService.NonExistentQueue": NoQueue,

	"AccessDenied": Denied, "AccessDeniedException": Denied, "UnauthorizedOperation": Denied,
	"KmsAccessDenied": Denied, "KMS.AccessDeniedException": Denied,

	"ExpiredToken": Credentials, "ExpiredTokenException": Credentials, "RequestExpired": Credentials,
	"InvalidClientTokenId": Credentials, "UnrecognizedClientException": Credentials,
	"InvalidAccessKeyId": Credentials, "SignatureDoesNotMatch": Credentials, "InvalidSignatureException": Credentials,
	"IncompleteSignature": Credentials, "MissingAuthenticationToken": Credentials, "InvalidSecurity": Credentials,
	"AuthFailure": Credentials, "RequestTimeTooSkewed": Credentials,

	"OverLimit": OverLimit, "AWS.SimpleQueueService.OverLimit": OverLimit,

	"RequestThrottled": Throttled, "KmsThrottled": Throttled, "KMS.ThrottlingException": Throttled,

	"ReceiptHandleIsInvalid": StaleHandle, "MessageNotInflight": StaleHandle,
	"AWS.SimpleQueueService.MessageNotInflight": StaleHandle, "InvalidReceiptHandle": StaleHandle,
}

// TroubleOf is what kind of trouble an error of Explain is about, "" if it is
// no such error.
func TroubleOf(err error) Trouble {
	var f *failure
	if errors.As(err, &f) {
		return f.trouble
	}
	return ""
}

// kind sorts an error of the SDK.
func kind(err error) Trouble {
	var missing *types.QueueDoesNotExist
	if errors.As(err, &missing) {
		return NoQueue
	}
	var e smithy.APIError
	if errors.As(err, &e) {
		return kindOfCode(e.ErrorCode(), e.ErrorFault() == smithy.FaultClient)
	}
	if strings.Contains(err.Error(), "credentials") {
		return Credentials // none were found, or their source does not answer
	}
	return Unreachable
}

// kindOfCode sorts a code, of a request or of one entry of a batch.
func kindOfCode(code string, senderFault bool) Trouble {
	if t, ok := troubles[code]; ok {
		return t
	}
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
		return Throttled
	}
	if senderFault {
		return Refused
	}
	return Unreachable
}

// failure is an error of SQS in words: what was asked, of which queue, and
// what to do.
type failure struct {
	trouble Trouble
	action  string // sqs:SendMessage
	queue   string // calls-tasks
	region  string
	err     error
}

// Explain puts an error of the SDK in words. action is the permission that the
// request needs (sqs:SendMessage), full the queue's name.
func (c *Client) Explain(action, full string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) { // nobody waits for it any more
		return err
	}
	return &failure{trouble: kind(err), action: action, queue: full, region: c.region, err: err}
}

func (f *failure) Error() string {
	where := fmt.Sprintf("%s in %s", f.queue, f.region)
	switch f.trouble {
	case NoQueue:
		return fmt.Sprintf("SQS has no queue %s, or hides it from these credentials: make it with \"producer setup\" or deploy/cdk", where)
	case Denied:
		return fmt.Sprintf("%s on %s is denied: allow it to the role or user of these credentials: %v", f.action, where, f.err)
	case Credentials:
		return fmt.Sprintf("%s on %s: the credentials have expired or are not valid: renew them, or check the clock: %v", f.action, where, f.err)
	case Throttled:
		return fmt.Sprintf("%s on %s: SQS throttles the requests: send slower, or ask AWS for more: %v", f.action, where, f.err)
	case OverLimit:
		return fmt.Sprintf("%s on %s: too many messages are in flight (120,000 are the most): settle some, or receive less: %v", f.action, where, f.err)
	case Unreachable:
		return fmt.Sprintf("%s on %s: SQS can't be reached or has trouble of its own: try again, or check AWS_ENDPOINT_URL and the network: %v", f.action, where, f.err)
	}
	return fmt.Sprintf("%s on %s: %v", f.action, where, f.err)
}

// Unwrap gives the seam's error, and the SDK's.
func (f *failure) Unwrap() []error {
	switch f.trouble {
	case NoQueue:
		return []error{queue.ErrNotFound, f.err}
	case Denied:
		return []error{ErrDenied, f.err}
	case StaleHandle:
		return []error{queue.ErrLeaseLost, f.err}
	}
	return []error{f.err}
}
