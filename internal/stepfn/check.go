package stepfn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"callfleet/internal/call"
)

// MachineInfo is what is to be known of the state machine before it is used.
type MachineInfo struct {
	ARN            string
	Type           string // STANDARD or EXPRESS
	Status         string // ACTIVE or DELETING
	Definition     string
	RoleARN        string
	LoggingLevel   string // ALL, ERROR, FATAL or OFF
	TracingEnabled bool
	Created        time.Time
}

// Check describes the state machine of the client. Its errors are ErrNotFound,
// ErrDenied, ErrCredentials or of the network.
func (c *Client) Check(ctx context.Context) (MachineInfo, error) {
	out, err := c.api.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &c.stateMachine})
	if err != nil {
		return MachineInfo{}, c.translateStart(err, "describe state machine")
	}
	m := MachineInfo{
		ARN: aws.ToString(out.StateMachineArn), Type: string(out.Type), Status: string(out.Status),
		Definition: aws.ToString(out.Definition), RoleARN: aws.ToString(out.RoleArn), LoggingLevel: "OFF",
		Created: aws.ToTime(out.CreationDate),
	}
	if l := out.LoggingConfiguration; l != nil && l.Level != "" {
		m.LoggingLevel = string(l.Level)
	}
	if t := out.TracingConfiguration; t != nil {
		m.TracingEnabled = t.Enabled
	}
	return m, nil
}

// What the probes send: nothing that could be carried out.
const (
	probeName  = "probe <of permissions>" // a name must not have white space or brackets
	probeInput = "{"                      // and an input must be JSON
	probeToken = "probe-of-permissions"
)

// ProbeStart finds out whether executions may be started, and starts none: it
// asks for one that cannot be. It returns nil, ErrDenied, or what else kept it
// from finding out.
func (c *Client) ProbeStart(ctx context.Context) error {
	_, err := c.api.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &c.stateMachine, Name: aws.String(probeName), Input: aws.String(probeInput),
	})
	switch err = c.translateStart(err, "probe the permission to start executions"); {
	case err == nil:
		return errors.New("probe the permission to start executions: an execution with an invalid name was started: this is not Step Functions as AWS has it")
	case errors.Is(err, ErrInvalid), isOtherMistake(err):
		return nil
	}
	return err
}

// isOtherMistake reports whether the request itself was found wrong, with a
// code that AWS does not use: emulators have words of their own.
func isOtherMistake(err error) bool {
	var answer *smithyhttp.ResponseError
	return errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusBadRequest &&
		!errors.Is(err, ErrNotFound) && !errors.Is(err, ErrThrottled) && !errors.Is(err, ErrDenied) && !errors.Is(err, ErrCredentials)
}

// ProbeReport finds out whether tasks may be settled and kept alive, with a
// token that is nobody's. It returns nil, ErrDenied for each permission that is
// missing, or what else kept it from finding out.
func (c *Client) ProbeReport(ctx context.Context) error {
	_, success := c.api.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: aws.String(probeToken), Output: aws.String("{}")})
	_, failure := c.api.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: aws.String(probeToken)})
	_, beat := c.api.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: aws.String(probeToken)})
	var errs []error
	for _, p := range []struct {
		op  *operation
		err error
	}{{c.success, success}, {c.failure, failure}, {c.heartbeat, beat}} {
		err := c.translateTask(p.err, "probe the permission to "+p.op.what)
		switch {
		case err == nil:
			errs = append(errs, fmt.Errorf("probe the permission to %s: a token that is nobody's was accepted: this is not Step Functions as AWS has it", p.op.what))
		case errors.Is(err, call.ErrTaskGone), errors.Is(err, ErrInvalid):
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
