// Package awsbody keeps answers of AWS from being lost on a busy machine.
//
// The SDK closes a request's body when the head of the answer is there. net/http
// may at that moment still ask the body whether there is more of it, and
// smithy-go (1.28.8) gives a closed body that can write itself the error io.EOF,
// where io.WriterTo wants none. net/http then takes the request for failed and
// closes the connection under the answer: "deserialization failed, read tcp: use
// of closed network connection" (aws-sdk-go-v2 issue 1825). The SDK tries again,
// but what the first answer leased, started or completed stays so: ten messages
// of SQS that nobody sees until their lease ends.
package awsbody

import (
	"context"
	"io"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Safe is an option of every API client of the SDK: its requests have bodies
// that can be read, and not write themselves.
func Safe(s *middleware.Stack) error {
	return s.Finalize.Add(middleware.FinalizeMiddlewareFunc("CallfleetSafeBody", readOnly), middleware.Before)
}

func readOnly(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return next.HandleFinalize(ctx, in)
	}
	body := req.GetStream()
	if _, ok := body.(io.WriterTo); !ok {
		return next.HandleFinalize(ctx, in)
	}
	seeker, ok := body.(io.ReadSeeker)
	if !ok {
		return next.HandleFinalize(ctx, in)
	}
	req, err := req.SetStream(struct{ io.ReadSeeker }{seeker})
	if err != nil {
		return middleware.FinalizeOutput{}, middleware.Metadata{}, err
	}
	in.Request = req
	return next.HandleFinalize(ctx, in)
}
