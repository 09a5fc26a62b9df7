package stepfn

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"callfleet/internal/awsbody"
	"callfleet/internal/httpcall/h1"
	"callfleet/internal/telemetry"
)

// newHTTPClient makes connections for very many calls at once. Redirects are
// not followed: no answer of the API is one.
func newHTTPClient(o Options) *http.Client {
	switch {
	case o.Transport != nil:
	case o.Endpoint != "":
		d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
		o.Transport = h1.New(h1.Options{Dial: d.DialContext, HeaderTimeout: o.Timeout, IdlePerHost: o.Connections})
	default:
		o.Transport = awsTransport(o)
	}
	return &http.Client{
		Transport:     o.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

const dialTimeout = 10 * time.Second

// awsTransport is that of the configuration, or the SDK's own: AWS is reached
// through the proxies and with the certificates that its tools use.
func awsTransport(o Options) http.RoundTripper {
	client, ok := o.Config.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		client = awshttp.NewBuildableClient()
	}
	client = client.WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout })
	return client.WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost = o.Connections, o.Connections
		t.ResponseHeaderTimeout = o.Timeout
	}).GetTransport()
}

// sdkOptions are built by hand instead of from the shared configuration: each
// call copies them and assembles its middleware anew, so what is not needed is
// left out.
func (c *Client) sdkOptions(o Options, retryable func([]retry.IsErrorRetryable) []retry.IsErrorRetryable) sfn.Options {
	opts := sfn.Options{
		Region:      cmp.Or(o.Config.Region, "us-east-1"),
		Credentials: o.Config.Credentials,
		HTTPClient:  c.http,
		Logger:      logging.Nop{},
		Retryer: retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts = o.MaxAttempts
			s.MaxBackoff = 2 * time.Second
			s.Retryables = retryable(s.Retryables)
			// The attempts of each call are few; a budget shared by all calls
			// would fail those that have nothing to do with the trouble.
			s.RateLimiter = ratelimit.None
		}),
		APIOptions: []func(*middleware.Stack) error{addTrace, awsbody.Safe},
	}
	if o.Endpoint != "" {
		opts.BaseEndpoint = aws.String(o.Endpoint)
	} else { // AWS_ENDPOINT_URL_SFN and the like take the SDK to find
		shared := sfn.NewFromConfig(o.Config).Options()
		opts.BaseEndpoint, opts.EndpointOptions = shared.BaseEndpoint, shared.EndpointOptions
	}
	switch {
	case opts.Credentials == nil && opts.BaseEndpoint != nil:
		opts.Credentials = aws.AnonymousCredentials{}
	case opts.Credentials != nil && !aws.IsCredentialsProvider(opts.Credentials, aws.AnonymousCredentials{}):
		opts.Credentials = c.credentials
	}
	return opts
}

// place is where the requests go, for errors.
func place(o sfn.Options) string {
	if o.BaseEndpoint != nil {
		return *o.BaseEndpoint
	}
	return "AWS in region " + o.Region
}

// retryAll is the SDK's own choice: throttling, server errors, lost
// connections.
func retryAll(r []retry.IsErrorRetryable) []retry.IsErrorRetryable { return r }

// retryUnthrottled retries the same, throttling excepted.
func retryUnthrottled(r []retry.IsErrorRetryable) []retry.IsErrorRetryable {
	throttles := retry.IsErrorThrottles(retry.DefaultThrottles)
	unless := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if throttles.IsErrorThrottle(err) == aws.TrueTernary {
			return aws.FalseTernary
		}
		return aws.UnknownTernary
	})
	return append([]retry.IsErrorRetryable{unless}, r...)
}

// addTrace sends the W3C trace context, so that the server's spans join ours.
func addTrace(s *middleware.Stack) error {
	return s.Build.Add(middleware.BuildMiddlewareFunc("CallfleetTrace", injectTrace), middleware.After)
}

func injectTrace(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
	if parent, state := telemetry.Inject(ctx); parent != "" {
		if req, ok := in.Request.(*smithyhttp.Request); ok {
			req.Header.Set("Traceparent", parent)
			if state != "" {
				req.Header.Set("Tracestate", state)
			}
		}
	}
	return next.HandleBuild(ctx, in)
}
