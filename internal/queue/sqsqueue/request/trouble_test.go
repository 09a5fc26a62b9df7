package request

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"callfleet/internal/queue"
)

func code(code string, fault smithy.ErrorFault) error {
	return &smithy.OperationError{ServiceID: "SQS", OperationName: "X", Err: &smithy.GenericAPIError{Code: code, Fault: fault}}
}

func TestTroubles(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err       error
		want      Trouble
		temporary bool
		is        error // nil: none of the seam's
	}{
		"typed":       {&types.QueueDoesNotExist{}, NoQueue, false, queue.ErrNotFound},
		"old name":    {code("AWS.SimpleQueueService.NonExistentQueue", smithy.FaultClient), NoQueue, false, queue.ErrNotFound},
		"denied":      {code("AccessDeniedException", smithy.FaultClient), Denied, false, ErrDenied},
		"expired":     {code("ExpiredToken", smithy.FaultClient), Credentials, true, nil},
		"none found":  {errors.New("failed to refresh cached credentials, no EC2 IMDS role found"), Credentials, true, nil},
		"throttled":   {code("RequestThrottled", smithy.FaultClient), Throttled, true, nil},
		"throttling":  {code("ThrottlingException", smithy.FaultClient), Throttled, true, nil},
		"in flight":   {&types.OverLimit{}, OverLimit, true, nil},
		"stale":       {&types.ReceiptHandleIsInvalid{}, StaleHandle, false, queue.ErrLeaseLost},
		"settled":     {&types.MessageNotInflight{}, StaleHandle, false, queue.ErrLeaseLost},
		"mistake":     {code("InvalidMessageContents", smithy.FaultClient), Refused, false, nil},
		"server":      {code("InternalError", smithy.FaultServer), Unreachable, true, nil},
		"unknown":     {code("", smithy.FaultUnknown), Unreachable, true, nil},
		"connection":  {&net.OpError{Op: "dial", Err: errors.New("refused")}, Unreachable, true, nil},
		"no answer":   {context.DeadlineExceeded, Unreachable, true, context.DeadlineExceeded},
		"nobody asks": {context.Canceled, "", false, context.Canceled},
	} {
		err := (&Client{region: "us-east-1"}).Explain("sqs:SendMessage", "calls-tasks", row.err)
		if got := TroubleOf(err); got != row.want || got.Temporary() != row.temporary {
			t.Errorf("%s: trouble %q, temporary %t: want %q, %t", name, got, got.Temporary(), row.want, row.temporary)
		}
		if !errors.Is(err, row.err) || row.is != nil && !errors.Is(err, row.is) {
			t.Errorf("%s: %v: want it to be %v and %v", name, err, row.err, row.is)
		}
		for _, other := range []error{queue.ErrNotFound, queue.ErrLeaseLost, ErrDenied} {
			if other != row.is && errors.Is(err, other) {
				t.Errorf("%s: %v is %v: want it not to be", name, err, other)
			}
		}
	}
	if (&Client{}).Explain("a", "q", nil) != nil || TroubleOf(nil) != "" {
		t.Error("no error is no trouble")
	}
}
