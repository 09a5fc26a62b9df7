// Package request makes the requests to SQS: with many connections, in batches,
// and with errors in words.
package request

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"callfleet/internal/queue/sqsqueue/crew"
)

const (
	// connections is the number of idle connections kept to SQS: polls and
	// batches in flight of a few queues.
	connections = 64
	// tries bounds what the SDK does about throttling, 5xx and lost
	// connections before the error surfaces; with tryBackoff about 10 s.
	tries      = 5
	tryBackoff = 4 * time.Second
)

// Client makes requests. It is safe for concurrent use.
type Client struct {
	API    *sqs.Client
	region string
	linger time.Duration
	crew   crew.Crew
}

// New makes a client whose entries wait so long for others.
func New(cfg aws.Config, linger time.Duration) *Client {
	return &Client{region: cfg.Region, linger: linger, API: sqs.NewFromConfig(cfg, func(s *sqs.Options) {
		s.HTTPClient = manyConnections(cfg.HTTPClient)
		s.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts, r.MaxBackoff = tries, tryBackoff
		})
	})}
}

// Go runs a job that makes requests.
func (c *Client) Go(job func()) { c.crew.Go(job) }

// manyConnections lets the SDK's own client keep as many idle connections as
// are used. A client that somebody made on purpose stays as it is.
func manyConnections(c aws.HTTPClient) aws.HTTPClient {
	own, ok := c.(*awshttp.BuildableClient)
	if c == nil {
		own, ok = awshttp.NewBuildableClient(), true
	}
	if !ok {
		return c
	}
	return own.WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, connections)
	})
}
