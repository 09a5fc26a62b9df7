// Package stepfn is the fleet's client of Step Functions, AWS's or ours: it
// starts executions and settles task tokens, and deploys and inspects for the
// command line. The AWS SDK and its types stay inside.
package stepfn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
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
	// Config has the region and the credentials, and may have an endpoint
	// (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_SFN), a bundle of certificates and
	// more that AWS's tools have in common.
	Config aws.Config
	// Endpoint is the URL of a Step Functions API that is not AWS's own in the
	// region. Requests to it are not signed when Config has no credentials.
	Endpoint string
	// StateMachine is the ARN that Start and List work on.
	StateMachine string
	// RoleARN is the role that Deploy gives to a state machine. Default: a role
	// that exists nowhere, which only a server that has no roles accepts.
	RoleARN string
	// ReportRate bounds SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat
	// to so many requests per second each, for each has a quota of its own; 0
	// is no limit. They are slowed down further while the API throttles.
	ReportRate float64
	// MaxAttempts bounds the attempts of one request, the first included, on
	// server errors and lost connections (and, for what deploys and inspects,
	// on throttling). Default 4.
	MaxAttempts int
	// Transport carries the requests. Default: with an Endpoint one of HTTP/1.1
	// for very many calls at once, without one that of AWS's tools, which knows
	// of proxies and AWS_CA_BUNDLE; both with what follows.
	Transport http.RoundTripper
	// Connections is the number of idle connections kept. Default 256.
	Connections int
	// Timeout bounds the wait for the head of an answer. Default 15 s.
	Timeout time.Duration
	// MeterProvider defaults to the global one.
	MeterProvider metric.MeterProvider
}

// Client calls one Step Functions API. Its methods are safe for concurrent use.
type Client struct {
	api          *sfn.Client
	paced        *sfn.Client // does not retry what was throttled: that is paced
	http         *http.Client
	credentials  *credentials
	place        string // region or endpoint, for errors
	stateMachine string
	role         string

	startStat                   *operationStat // starts are paced by the caller
	success, failure, heartbeat *operation
}

// New returns a client; it opens no connection.
func New(o Options) (*Client, error) {
	if o.MaxAttempts < 0 || o.Connections < 0 || o.Timeout < 0 || o.ReportRate < 0 || math.IsNaN(o.ReportRate) {
		return nil, errors.New("make step functions client: MaxAttempts, Connections, Timeout and ReportRate must not be negative")
	}
	if o.Config.Region == "" && o.Endpoint == "" {
		return nil, errors.New("make step functions client: neither a region nor an endpoint is set: set AWS_REGION, or a region in the profile that AWS_PROFILE names")
	}
	o.MaxAttempts = cmp.Or(o.MaxAttempts, 4)
	o.Connections = cmp.Or(o.Connections, 256)
	o.Timeout = cmp.Or(o.Timeout, 15*time.Second)
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	c := &Client{
		http:         newHTTPClient(o),
		credentials:  &credentials{CredentialsProvider: o.Config.Credentials},
		stateMachine: o.StateMachine,
		role:         cmp.Or(o.RoleARN, "arn:aws:iam::000000000000:role/callfleet"),
		startStat:    &operationStat{},
		success:      newOperation("SendTaskSuccess", "send task success", o.ReportRate),
		failure:      newOperation("SendTaskFailure", "send task failure", o.ReportRate),
		heartbeat:    newOperation("SendTaskHeartbeat", "send task heartbeat", o.ReportRate),
	}
	c.api = sfn.New(c.sdkOptions(o, retryAll))
	c.paced = sfn.New(c.sdkOptions(o, retryUnthrottled))
	c.place = place(c.api.Options())
	if err := c.observe(o.MeterProvider); err != nil {
		return nil, fmt.Errorf("make step functions client: %w", err)
	}
	return c, nil
}

// With returns a client of another state machine that shares the connections.
func (c *Client) With(stateMachine string) *Client {
	other := *c
	other.stateMachine = stateMachine
	return &other
}

// As returns a client that deploys with that role, and shares the connections.
func (c *Client) As(roleARN string) *Client {
	other := *c
	other.role = roleARN
	return &other
}

// Machine is the ARN of the state machine that Start and List work on.
func (c *Client) Machine() string { return c.stateMachine }

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Start starts an execution of that name. It returns nil when the execution
// exists with the same input, running or ended; ErrNameTaken when the input is
// another; ErrThrottled when the quota is used up, at once, for the caller is
// the one who paces; ErrInvalid when no attempt could succeed; ErrNotFound when
// there is no such state machine.
func (c *Client) Start(ctx context.Context, name string, input []byte) error {
	if len(input) > MaxPayload {
		return fmt.Errorf("start execution %s: %w: the input has %d bytes, at most %d are allowed", name, ErrInvalid, len(input), MaxPayload)
	}
	_, err := c.paced.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &c.stateMachine,
		Name:            &name,
		Input:           aws.String(string(input)),
	})
	var taken *types.ExecutionAlreadyExists
	if errors.As(err, &taken) {
		return c.sameExecution(ctx, name, input)
	}
	err = c.translateStart(err, "start execution "+name)
	if errors.Is(err, ErrThrottled) {
		c.startStat.throttled.Add(1)
	}
	return err
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

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
