package stepfn

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"callfleet/internal/call"
	"callfleet/internal/lifecycle"
	"callfleet/internal/pace"
)

const (
	// A report that was throttled is sent again after a pause that grows from
	// the first to the last of these, and when its turn has come.
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
	// beatPatience is how long a heartbeat waits for its turn. Another is sent
	// soon, and whoever waits must not hold up reports meanwhile.
	beatPatience = 500 * time.Millisecond
)

// operation is one that has a quota of its own, and the bucket for it.
type operation struct {
	name string // as in the API
	what string // as in errors
	pace *pace.Pace
	stat *operationStat
}

// send sends when the operation's turn has come, again and again while it is
// throttled, and returns what came of it. ErrThrottled comes with ctx's end.
func (c *Client) send(ctx context.Context, op *operation, once func(context.Context) error) error {
	throttled := false
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if err := op.pace.Wait(ctx); err != nil {
			return op.late(err, throttled)
		}
		err := c.translateTask(once(ctx), op.what)
		if !errors.Is(err, ErrThrottled) {
			return err
		}
		throttled = true
		op.throttled()
		if err := lifecycle.Sleep(ctx, pause/2+rand.N(pause/2)); err != nil {
			return op.late(err, throttled)
		}
	}
}

// late is the error of an operation whose time is up.
func (op *operation) late(err error, throttled bool) error {
	if throttled || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w: no turn came in time at %.0f a second: %w", op.what, ErrThrottled, op.pace.Limit(), err)
	}
	return fmt.Errorf("%s: %w", op.what, err)
}

func (op *operation) throttled() {
	op.stat.throttled.Add(1)
	op.pace.Throttled()
}

// Succeed settles the task with its output, which is JSON of at most
// MaxPayload bytes. It waits for its turn, and while it is throttled, until ctx
// ends; then the error is ErrThrottled. call.ErrTaskGone says that the task was
// settled before.
func (c *Client) Succeed(ctx context.Context, token call.TaskToken, output []byte) error {
	if len(output) > MaxPayload {
		return fmt.Errorf("send task success: %w: the output has %d bytes, at most %d are allowed", ErrInvalid, len(output), MaxPayload)
	}
	in := &sfn.SendTaskSuccessInput{TaskToken: (*string)(&token), Output: aws.String(string(output))}
	return c.send(ctx, c.success, func(ctx context.Context) error {
		_, err := c.paced.SendTaskSuccess(ctx, in)
		return err
	})
}

// Fail settles the task with a failure, as Succeed does with an output.
func (c *Client) Fail(ctx context.Context, token call.TaskToken, f *call.Failure) error {
	in := &sfn.SendTaskFailureInput{
		TaskToken: (*string)(&token),
		Error:     aws.String(cut(string(f.Name), maxError)),
		Cause:     aws.String(cut(f.Cause, maxCause)),
	}
	return c.send(ctx, c.failure, func(ctx context.Context) error {
		_, err := c.paced.SendTaskFailure(ctx, in)
		return err
	})
}

// Heartbeat says that the task is being worked on. It gives way: ErrThrottled
// says that it was not sent, or throttled, and is to be sent again a little
// later. call.ErrTaskGone says that nobody waits for the task.
func (c *Client) Heartbeat(ctx context.Context, token call.TaskToken) error {
	op := c.heartbeat
	if err := op.pace.WaitFor(ctx, beatPatience); err != nil {
		if errors.Is(err, pace.ErrBusy) {
			return fmt.Errorf("%s: %w: no turn came in time at %.0f a second", op.what, ErrThrottled, op.pace.Limit())
		}
		return op.late(err, false)
	}
	_, err := c.paced.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: (*string)(&token)})
	err = c.translateTask(err, op.what)
	if errors.Is(err, ErrThrottled) {
		op.throttled()
	}
	return err
}
