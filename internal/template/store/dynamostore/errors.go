package dynamostore

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"callfleet/internal/template/store"
)

// explain makes the store's errors of DynamoDB's, and says what to do about
// those that are the table's or the account's.
func (s *Store) explain(ctx context.Context, err error) error {
	var failed *types.ConditionalCheckFailedException
	var missing *types.ResourceNotFoundException
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrConflict), errors.Is(err, errKeys):
		return err
	case errors.As(err, &failed):
		return store.ErrConflict
	case errors.As(err, &missing):
		return fmt.Errorf("there is no %s: make it with \"producer setup\" or deploy/cdk", s.name())
	case retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) == aws.TrueTernary:
		return fmt.Errorf("%s is throttled: try again later, or give it more capacity: %w", s.name(), err)
	}
	switch code(err) {
	case "AccessDeniedException":
		return fmt.Errorf("no permission for %s: give the program's role what deploy/cdk does: %w", s.name(), err)
	case "ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignatureException", "MissingAuthenticationTokenException":
		return fmt.Errorf("AWS does not take the credentials for %s: renew them: %w", s.name(), err)
	case codeInvalid: // a request that does not fit the table
		if d, describeErr := s.describe(ctx); describeErr == nil {
			if keysErr := s.checkKeys(d); keysErr != nil {
				return keysErr
			}
		}
	}
	return fmt.Errorf("%s: %w", s.name(), err)
}

// explainPut is explain for an item that DynamoDB may have refused for its
// content: an empty set, a number of too many digits, its size.
func (s *Store) explainPut(ctx context.Context, put attributes, err error) error {
	explained := s.explain(ctx, err)
	if code(err) != codeInvalid || errors.Is(explained, errKeys) {
		return explained
	}
	if n := size(&types.AttributeValueMemberM{Value: put}); n > nearlyFull {
		return fmt.Errorf("%w: it has some %d bytes, and an item of DynamoDB at most %d: if that is it, make the template smaller: %w", store.ErrInvalid, n, maxItem, err)
	}
	return fmt.Errorf("%w: %w", store.ErrInvalid, err)
}

const codeInvalid = "ValidationException"

// code is the name of the service's error, "" of any other.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
