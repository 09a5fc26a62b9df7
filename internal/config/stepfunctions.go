package config

import (
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"callfleet/internal/config/target"
)

// StepFunctions is the command line of cmd/stepfunctions.
type StepFunctions struct {
	Listen       Address       `help:"Address of the Step Functions API, with /livez, /readyz and /metrics." env:"CALLFLEET_STEPFUNCTIONS_LISTEN" default:"127.0.0.1:8083"`
	Region       string        `help:"Region in ARNs." env:"CALLFLEET_REGION" default:"us-east-1"`
	AccountID    string        `help:"Account in ARNs." env:"CALLFLEET_ACCOUNT_ID" default:"000000000000"`
	HistoryAge   time.Duration `help:"How long ended executions are kept." env:"CALLFLEET_HISTORY_AGE" default:"2160h"`
	HistoryCount int           `help:"How many ended executions are kept." env:"CALLFLEET_HISTORY_COUNT" default:"100000"`
	Drain        time.Duration `help:"Time for requests in flight when the server is told to stop." env:"CALLFLEET_DRAIN" default:"25s"`

	Queue     target.Target `help:"Broker of the fleet's queues: ${queue_forms}, where calls begins the names of the queues. Unset, one is embedded." env:"CALLFLEET_QUEUE" placeholder:"URL" group:"Backends:"`
	EventLog  target.Target `help:"Broker that keeps the histories: nats://127.0.0.1:4222. Unset, it is the queue's, or with an sqs:// queue one is embedded." env:"CALLFLEET_EVENT_LOG" placeholder:"URL" group:"Backends:"`
	Templates target.Target `help:"Template store behind dynamodb:* tasks: ${templates_forms}. Unset, it is the broker's, or with an sqs:// queue dynamodb://API_Template_Table." env:"CALLFLEET_TEMPLATES" placeholder:"URL" group:"Backends:"`

	BrokerListen Address `help:"Address of the embedded broker; loopback only, because it knows no passwords." env:"CALLFLEET_BROKER_LISTEN" default:"127.0.0.1:4222" group:"Embedded:"`
	Embeddable   `embed:""`
	Samples      string  `help:"Sample API that the quickstart calls: on, off, auto (on when the queue is embedded), or the URL of one elsewhere (cmd/sampleapi), of which only the templates are put." env:"CALLFLEET_SAMPLES" default:"auto" group:"Embedded:"`
	SampleListen Address `help:"Address of the sample API." env:"CALLFLEET_SAMPLE_LISTEN" default:"127.0.0.1:8089" group:"Embedded:"`

	LambdaEndpoint   target.Target `help:"Lambda API that serves the functions of a definition." env:"CALLFLEET_LAMBDA_ENDPOINT" placeholder:"URL" group:"Service integrations:"`
	SQSEndpoint      target.Target `name:"sqs-endpoint" help:"SQS API for queue URLs that are not the broker's queues." env:"CALLFLEET_SQS_ENDPOINT" placeholder:"URL" group:"Service integrations:"`
	DynamoDBEndpoint target.Target `name:"dynamodb-endpoint" help:"DynamoDB API for tables, in place of the template store." env:"CALLFLEET_DYNAMODB_ENDPOINT" placeholder:"URL" group:"Service integrations:"`

	Egress  `embed:""`
	Secrets `embed:""`
	Probe   `embed:""`
	Log     `embed:""`

	Version kong.VersionFlag `help:"Print the version."`
}

const stepFunctionsHelp = `Serve the Step Functions API on JetStream: the same wire protocol, language and histories as AWS.

  stepfunctions
  aws stepfunctions list-executions --endpoint-url http://127.0.0.1:8083 --state-machine-arn …`

// ParseStepFunctions returns the settings of cmd/stepfunctions; the error is
// ErrHelp or an *UsageError.
func ParseStepFunctions(in Input) (*StepFunctions, error) {
	c := &StepFunctions{}
	_, err := in.parse(program{
		name: "stepfunctions", description: stepFunctionsHelp, target: c, vars: in.Schemes.vars(true),
		check: func(_ string, p *problems) { c.check(p, in) },
	})
	if err != nil {
		return nil, err
	}
	if c.Queue.Scheme() == "sqs" {
		c.Templates = c.Templates.Or(DefaultAWSTemplates)
	}
	return c, nil
}

// EmbedsBroker reports whether the broker of the event log runs in this
// process.
func (c *StepFunctions) EmbedsBroker() bool {
	return c.EventLog.IsZero() && c.Queue.Scheme() != "nats"
}

// ServesSamples reports whether the sample API runs in this process.
func (c *StepFunctions) ServesSamples() bool {
	return c.Samples == "on" || c.Samples == "auto" && c.EmbedsBroker() && c.Queue.IsZero()
}

// SamplesAt is the host:port of a sample API elsewhere, or "".
func (c *StepFunctions) SamplesAt() string {
	addr, isURL := strings.CutPrefix(c.Samples, "http://")
	host, port, err := net.SplitHostPort(addr)
	if !isURL || err != nil || host == "" || port == "" || strings.ContainsAny(addr, "/?#@") {
		return ""
	}
	return addr
}

var (
	region    = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
)

func (c *StepFunctions) check(p *problems, in Input) {
	s := in.Schemes
	c.Log.check(p)
	c.Secrets.check(p)
	c.Embeddable.check(p)
	c.Egress.check(p, in.Getenv)
	p.checkTarget("queue", c.Queue, queueForms, s.Queue)
	p.checkTarget("event-log", c.EventLog, queueForms[:1], s.Queue) // NATS alone
	p.checkTarget("templates", c.Templates, templatesForms, s.Templates)
	apis := []string{"http", "https"}
	p.checkTarget("lambda-endpoint", c.LambdaEndpoint, endpointForms, apis)
	p.checkTarget("sqs-endpoint", c.SQSEndpoint, endpointForms, apis)
	p.checkTarget("dynamodb-endpoint", c.DynamoDBEndpoint, endpointForms, apis)
	if c.SamplesAt() == "" {
		p.oneOf("samples", c.Samples, "auto", "on", "off", "http://host:port")
	}
	p.positive("history-age", c.HistoryAge)
	p.atLeast("history-count", c.HistoryCount, 1)
	p.positive("drain", c.Drain)
	if !region.MatchString(c.Region) {
		p.add("region", "want a region such as us-east-1, not %q", c.Region)
	}
	if !accountID.MatchString(c.AccountID) {
		p.add("account-id", "want 12 digits, not %q", c.AccountID)
	}
	c.checkAddresses(p)
}

// checkAddresses refuses a broker open to others and two servers on one port.
func (c *StepFunctions) checkAddresses(p *problems) {
	if c.EmbedsBroker() && !isLoopback(c.BrokerListen) {
		p.add("broker-listen", "want a loopback address, because the embedded broker knows no passwords; "+
			"for other machines run a NATS server and set %s", p.setting("queue"))
	}
	taken := make(map[string]string)
	use := func(flag string, a Address) {
		if port := a.Port(); port != "0" && port != "" {
			if other, ok := taken[port]; ok {
				p.add(flag, "port %s is that of %s", port, p.setting(other))
			}
			taken[port] = flag
		}
	}
	use("listen", c.Listen)
	if c.EmbedsBroker() {
		use("broker-listen", c.BrokerListen)
	}
	if c.ServesSamples() {
		use("sample-listen", c.SampleListen)
	}
}

func isLoopback(a Address) bool {
	host, _, _ := net.SplitHostPort(string(a))
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
