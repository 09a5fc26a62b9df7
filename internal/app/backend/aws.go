package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"callfleet/internal/awsbody"
	"callfleet/internal/queue"
	"callfleet/internal/queue/sqsqueue"
	"callfleet/internal/stepfn"
)

// LoadAWS reads region, credentials and endpoints as every AWS tool does:
// AWS_* variables, profiles, the credentials of a container or an instance.
func LoadAWS(ctx context.Context, with ...func(*awsconfig.LoadOptions) error) (aws.Config, error) {
	cfg, err := awsconfig.LoadDefaultConfig(ctx, with...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return aws.Config{}, errors.New("load AWS configuration: no region is set: set AWS_REGION, or a region in the profile that AWS_PROFILE names")
	}
	cfg.APIOptions = append(cfg.APIOptions, awsbody.Safe)
	return cfg, nil
}

// awsConfig is loaded once, by the first part that needs it.
func (b *Backend) awsConfig(ctx context.Context) (aws.Config, error) {
	if b.cloud == nil {
		cfg, err := LoadAWS(ctx)
		if err != nil {
			return aws.Config{}, err
		}
		b.cloud = &cfg
	}
	return *b.cloud, nil
}

// sqsBroker is a broker on SQS. Its methods never return a nil pointer as an
// interface.
type sqsBroker struct{ queues *sqsqueue.Broker }

func (b *Backend) openSQS(ctx context.Context) (queueBroker, error) {
	cfg, err := b.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := NewSQS(cfg, b.options.Queue, b.options.Logger)
	if err != nil {
		return nil, err
	}
	b.System = "aws_sqs"
	return &sqsBroker{queues}, nil
}

// NewSQS makes the broker that an sqs:// URL names: sqs://calls has the queues
// calls-requests, calls-tasks and calls-results, sqs://calls?fifo=true has them
// as FIFO queues.
func NewSQS(cfg aws.Config, at string, logger *slog.Logger) (*sqsqueue.Broker, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "sqs" || u.Host == "" {
		return nil, fmt.Errorf("open queues: want a URL such as sqs://calls, not %s", redact(at))
	}
	return sqsqueue.New(cfg, sqsqueue.Options{Prefix: u.Host, FIFO: u.Query().Get("fifo") == "true", Logger: logger})
}

func (s *sqsBroker) publisher(ctx context.Context, name string) (queue.Publisher, error) {
	p, err := s.queues.Publisher(ctx, name)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s *sqsBroker) consumer(ctx context.Context, name string, lease time.Duration) (Consumer, error) {
	c, err := s.queues.Consumer(ctx, name, sqsqueue.ConsumerOptions{Lease: lease})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (s *sqsBroker) feedPublisher(ctx context.Context, feed string) (queue.Publisher, error) {
	p, err := s.queues.FeedPublisher(ctx, feed)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s *sqsBroker) feedConsumer(ctx context.Context, feed, run string) (queue.Feed, error) {
	f, err := s.queues.FeedConsumer(ctx, feed, run)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openAWSStepFunctions makes a client of AWS's own Step Functions, or of what
// AWS_ENDPOINT_URL_SFN names. A state machine that is given by name is one of
// the account that the credentials are of.
func (b *Backend) openAWSStepFunctions(ctx context.Context) (*stepfn.Client, error) {
	cfg, err := b.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	machine := orDefault(b.options.StateMachine, StateMachine)
	if !arn.IsARN(machine) {
		if machine, err = findMachine(ctx, cfg, machine); err != nil {
			return nil, fmt.Errorf("find state machine %s: %w", b.options.StateMachine, err)
		}
	}
	quotas := stepfn.QuotasOf(cfg.Region)
	b.StartRate = quotas.StartExecution
	return stepfn.New(stepfn.Options{
		Config: cfg, StateMachine: machine, Connections: b.options.Connections, Transport: b.options.Transport,
		ReportRate: or(b.options.ReportRate, quotas.SendTask),
	})
}

// findMachine is the ARN of a state machine of the account and region.
func findMachine(ctx context.Context, cfg aws.Config, name string) (string, error) {
	who, err := identify(ctx, cfg)
	if err != nil {
		return "", fmt.Errorf("%w (CALLFLEET_STATE_MACHINE may be an ARN, which needs no asking)", err)
	}
	return machineARN(name, who.Partition, who.Region, who.Account), nil
}

// Identity is whose credentials are in use.
type Identity struct {
	Account, Region, Partition string
	ARN                        string        // of the user or the role's session
	Skew                       time.Duration // AWS's clock less this machine's
}

// Identity asks AWS, which needs no permission.
func (b *Backend) Identity(ctx context.Context) (Identity, error) {
	cfg, err := b.awsConfig(ctx)
	if err != nil {
		return Identity{}, err
	}
	return identify(ctx, cfg)
}

func identify(ctx context.Context, cfg aws.Config) (Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	const what = "ask AWS whose credentials these are"
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return Identity{}, fmt.Errorf("%s: there are none: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role: %w", what, err)
	}
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", what, err)
	}
	who := Identity{Account: aws.ToString(out.Account), Region: cfg.Region, ARN: aws.ToString(out.Arn)}
	parsed, err := arn.Parse(who.ARN)
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", what, err)
	}
	who.Partition = parsed.Partition
	if at, ok := middleware.GetServerTime(out.ResultMetadata); ok {
		if received, ok := middleware.GetResponseAt(out.ResultMetadata); ok {
			who.Skew = at.Sub(received)
		}
	}
	return who, nil
}

// SQS is the broker, nil where it is not SQS.
func (b *Backend) SQS() *sqsqueue.Broker {
	if on, ok := b.queues.(*sqsBroker); ok {
		return on.queues
	}
	return nil
}

// OnAWS reports whether any part is on AWS, or on what AWS_ENDPOINT_URL names.
func (b *Backend) OnAWS() bool { return b.cloud != nil }

// StepFunctionsOnAWS reports whether Step Functions is AWS's.
func (b *Backend) StepFunctionsOnAWS() bool { return scheme(b.options.StepFunctions) == "aws" }

// Region is that of the parts on AWS.
func (b *Backend) Region() string {
	if b.cloud == nil {
		return ""
	}
	return b.cloud.Region
}
