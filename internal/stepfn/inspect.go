package stepfn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"callfleet/internal/call"
)

// Execution is one run of a state machine.
type Execution struct {
	ARN, Name, StateMachine string
	Status                  call.Status
	Started, Stopped        time.Time // Stopped is zero while it runs
	// Input, Output, Error and Cause are those of Describe; List has none.
	Input, Output json.RawMessage
	Error, Cause  string
}

// Describe returns the execution of that name or ARN, or ErrNotFound.
func (c *Client) Describe(ctx context.Context, execution string) (Execution, error) {
	arn, err := c.executionARN(execution)
	if err != nil {
		return Execution{}, fmt.Errorf("describe execution %s: %w", execution, err)
	}
	out, err := c.api.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		return Execution{}, c.translate(err, "describe execution "+execution)
	}
	return Execution{
		ARN: aws.ToString(out.ExecutionArn), Name: aws.ToString(out.Name), StateMachine: aws.ToString(out.StateMachineArn),
		Status: call.Status(out.Status), Started: aws.ToTime(out.StartDate), Stopped: aws.ToTime(out.StopDate),
		Input: rawText(out.Input), Output: rawText(out.Output),
		Error: aws.ToString(out.Error), Cause: aws.ToString(out.Cause),
	}, nil
}

// List yields the executions of the state machine, newest first, of one status
// or, with "", of all. It ends with the first error.
func (c *Client) List(ctx context.Context, status call.Status) iter.Seq2[Execution, error] {
	return func(yield func(Execution, error) bool) {
		pages := sfn.NewListExecutionsPaginator(c.api, &sfn.ListExecutionsInput{
			StateMachineArn: &c.stateMachine,
			StatusFilter:    types.ExecutionStatus(status),
			MaxResults:      100,
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Execution{}, c.translate(err, "list executions"))
				return
			}
			for _, e := range page.Executions {
				x := Execution{
					ARN: aws.ToString(e.ExecutionArn), Name: aws.ToString(e.Name), StateMachine: aws.ToString(e.StateMachineArn),
					Status: call.Status(e.Status), Started: aws.ToTime(e.StartDate), Stopped: aws.ToTime(e.StopDate),
				}
				if !yield(x, nil) {
					return
				}
			}
		}
	}
}

// Stop ends a running execution as ABORTED.
func (c *Client) Stop(ctx context.Context, execution, errorName, cause string) error {
	arn, err := c.executionARN(execution)
	if err != nil {
		return fmt.Errorf("stop execution %s: %w", execution, err)
	}
	in := &sfn.StopExecutionInput{ExecutionArn: &arn}
	if errorName != "" {
		in.Error = aws.String(cut(errorName, maxError))
	}
	if cause != "" {
		in.Cause = aws.String(cut(cause, maxCause))
	}
	_, err = c.api.StopExecution(ctx, in)
	return c.translate(err, "stop execution "+execution)
}

// executionARN takes a name or an ARN. The ARN of an execution follows from
// that of its state machine:
// arn:aws:states:<region>:<account>:stateMachine:<machine>[:<version>].
func (c *Client) executionARN(execution string) (string, error) {
	if strings.HasPrefix(execution, "arn:") {
		return execution, nil
	}
	parts := strings.Split(c.stateMachine, ":")
	if len(parts) < 7 || parts[5] != "stateMachine" {
		return "", errors.New("the state machine's ARN is not known")
	}
	return strings.Join(parts[:5], ":") + ":execution:" + parts[6] + ":" + execution, nil
}

func rawText(s *string) json.RawMessage {
	if s == nil {
		return nil
	}
	return json.RawMessage(*s)
}
