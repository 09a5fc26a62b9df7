// Package stepfn is the fleet's client of Step Functions, AWS's or ours: it
// starts executions and settles task tokens, and deploys and inspects for the
// command line. The AWS SDK and its types stay inside.
package stepfn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"callfleet/internal/call"
)

// MaxPayload is the largest input or output, a hard quota of Step Functions.
const MaxPayload = 256 << 10

// Bounds of SendTaskFailure (API reference).
const (
	maxError = 256
	maxCause = 32768
)

// Options are the settings of a Client.
type Options struct {
	// Config has the region and the credentials. Without credentials and with
	// an Endpoint, requests are not signed.
	Config aws.Config
	// Endpoint is the URL of a Step Functions API that is not AWS's own in the
	// region.
	Endpoint string
	// StateMachine is the ARN that Start and List work on.
	StateMachine string
	// RoleARN is the role that Deploy gives to a state machine. Default: a role
	// that exists nowhere, which only a server that has no roles accepts.
	RoleARN string
	// MaxAttempts bounds the attempts of one request, the first included, on
	// throttling, server errors and lost connections. Default 4.
	MaxAttempts int
	// Transport carries the requests; nil is a transport of HTTP/1.1 with what
	// follows.
	Transport http.RoundTripper
	// Connections is the number of idle connections kept. Default 256.
	Connections int
	// Timeout bounds the wait for the head of an answer. Default 15 s.
	Timeout time.Duration
}

// Client calls one Step Functions API. Its methods are safe for concurrent use.
type Client struct {
	api          *sfn.Client
	starts       *sfn.Client // leaves throttling to the caller, who paces
	http         *http.Client
	stateMachine string
	role         string
}

// New returns a client; it opens no connection.
func New(o Options) (*Client, error) {
	if o.MaxAttempts < 0 || o.Connections < 0 || o.Timeout < 0 {
		return nil, errors.New("make step functions client: MaxAttempts, Connections and Timeout must not be negative")
	}
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 4)
	o.Connections = cmp.Or(o.Connections, 256)
	o.Timeout = cmp.Or(o.Timeout, 15*time.Second)
	if o.Config.Region == "" && o.Endpoint == "" {
		return nil, errors.New("make step functions client: neither a region nor an endpoint is set")
	}
	c := &Client{
		http:         newHTTPClient(o),
		stateMachine: o.StateMachine,
		role:         cmp.Or(o.RoleARN, "arn:aws:iam::000000000000:role/callfleet"),
	}
	c.api = sfn.New(sdkOptions(o, c.http, retryAll))
	c.starts = sfn.New(sdkOptions(o, c.http, retryUnthrottled))
	return c, nil
}

// With returns a client of another state machine that shares the connections.
func (c *Client) With(stateMachine string) *Client {
	other := *c
	other.stateMachine = stateMachine
	return &other
}

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Start starts an execution of that name. It returns nil when the execution
// exists with the same input, running or ended; ErrNameTaken when the input is
// another; ErrThrottled when the quota is used up, at once, for the caller is
// the one who paces; ErrInvalid when no attempt could succeed.
func (c *Client) Start(ctx context.Context, name string, input []byte) error {
	if len(input) > MaxPayload {
		return fmt.Errorf("start execution %s: %w: the input has %d bytes, at most %d are allowed", name, ErrInvalid, len(input), MaxPayload)
	}
	_, err := c.starts.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &c.stateMachine,
		Name:            &name,
		Input:           aws.String(string(input)),
	})
	var taken *types.ExecutionAlreadyExists
	if errors.As(err, &taken) {
		return c.sameExecution(ctx, name, input)
	}
	return translate(err, "start execution "+name)
}

// sameExecution finds out whether the name was taken by this very request. AWS
// answers a repeated start with success only while the execution runs.
func (c *Client) sameExecution(ctx context.Context, name string, input []byte) error {
	x, err := c.Describe(ctx, name)
	if err != nil {
		return err
	}
	if !sameJSON(x.Input, input) {
		return fmt.Errorf("start execution %s: %w", name, ErrNameTaken)
	}
	return nil
}

// Succeed settles the task with its output, which is JSON of at most
// MaxPayload bytes. call.ErrTaskGone says that it was settled before.
func (c *Client) Succeed(ctx context.Context, token call.TaskToken, output []byte) error {
	if len(output) > MaxPayload {
		return fmt.Errorf("send task success: %w: the output has %d bytes, at most %d are allowed", ErrInvalid, len(output), MaxPayload)
	}
	_, err := c.api.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{
		TaskToken: (*string)(&token),
		Output:    aws.String(string(output)),
	})
	return translateTask(err, "send task success")
}

// Fail settles the task with a failure. call.ErrTaskGone says that it was
// settled before.
func (c *Client) Fail(ctx context.Context, token call.TaskToken, f *call.Failure) error {
	_, err := c.api.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{
		TaskToken: (*string)(&token),
		Error:     aws.String(cut(string(f.Name), maxError)),
		Cause:     aws.String(cut(f.Cause, maxCause)),
	})
	return translateTask(err, "send task failure")
}

// Heartbeat says that the task is being worked on. call.ErrTaskGone says that
// nobody waits for it.
func (c *Client) Heartbeat(ctx context.Context, token call.TaskToken) error {
	_, err := c.api.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: (*string)(&token)})
	return translateTask(err, "send task heartbeat")
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
