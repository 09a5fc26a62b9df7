// Package knob is what can be set on the stack: every setting with its default
// and one sentence, read from the app's context (cdk.json or -c name=value).
package knob

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Knobs are the settings of one deployment. Each field's tags are its name in
// the context, its default and what it is; deploy/README.md lists them.
type Knobs struct {
	Prefix       string `knob:"prefix" default:"calls" help:"What the queues' names begin with: PREFIX-requests, PREFIX-tasks, PREFIX-results; also names the cluster, the alarms and the dashboard."`
	Table        string `knob:"table" default:"API_Template_Table" help:"Name of the DynamoDB table of the templates."`
	StateMachine string `knob:"stateMachine" default:"call-api" help:"Name of the state machine that makes one call."`
	KeepTable    bool   `knob:"keepTable" default:"true" help:"Protect the table from deletion and leave it when the stack is destroyed."`
	BlobDays     int    `knob:"blobDays" default:"7" help:"Days that a body too large to travel is kept in the stack's bucket; longer than anybody waits for a result (CALLFLEET_BLOB_EXPIRY)."`

	Architecture  string `knob:"architecture" default:"x86_64" help:"Processor of the tasks and of the function: x86_64, or arm64 (about a fifth cheaper); the images must be built for it."`
	WorkerImage   string `knob:"workerImage" default:"" help:"Image of worker and starter, REGISTRY/NAME:TAG; empty: built from this repository's Dockerfile by cdk deploy, which needs Docker."`
	ProducerImage string `knob:"producerImage" default:"" help:"Image of the producer, REGISTRY/NAME:TAG; empty: built from this repository's Dockerfile by cdk deploy, which needs Docker."`

	VpcID             string   `knob:"vpcId" default:"" help:"Existing VPC to run the tasks in; empty: a new one with two availability zones."`
	SubnetIDs         []string `knob:"subnetIds" default:"" help:"Subnets of vpcId for the tasks, separated by commas; they need a way to AWS and to the APIs that are called."`
	PublicSubnets     bool     `knob:"publicSubnets" default:"false" help:"Run the tasks in public subnets with public addresses: no NAT gateway to pay, nothing can reach them all the same."`
	NatGateways       int      `knob:"natGateways" default:"1" help:"NAT gateways of the new VPC; 2 survive the loss of a zone; without effect on public subnets."`
	PrivateEndpoints  bool     `knob:"privateEndpoints" default:"false" help:"Reach SQS, Step Functions, ECR and CloudWatch Logs through interface endpoints of the new VPC instead of the NAT gateway (S3 and DynamoDB always have their free gateway endpoints)."`
	WorkerCPU         int      `knob:"workerCpu" default:"512" help:"CPU units of a worker task; 1024 is one vCPU."`
	WorkerMemory      int      `knob:"workerMemory" default:"1024" help:"Memory of a worker task in MiB; must be one that Fargate has for its CPU."`
	WorkerSlots       int      `knob:"workerSlots" default:"256" help:"Calls that one worker makes at one time."`
	WorkerMin         int      `knob:"workerMin" default:"0" help:"Fewest worker tasks; 0 costs nothing while idle, and the first call waits 2 to 4 minutes for a task."`
	WorkerMax         int      `knob:"workerMax" default:"10" help:"Most worker tasks."`
	WorkerSpotPercent int      `knob:"workerSpotPercent" default:"0" help:"Share of the worker tasks on Fargate Spot, 0 to 100: about 70 % cheaper, ended with two minutes' notice and not replaced by others when there is no Spot capacity."`
	BacklogPerWorker  int      `knob:"backlogPerWorker" default:"0" help:"Tasks (waiting, in flight and delayed) per running worker that scaling aims at; 0 is workerSlots: every slot busy, nothing waiting."`
	IdleMinutes       int      `knob:"idleMinutes" default:"15" help:"Minutes without any task after which the workers go down to workerMin."`
	StarterCPU        int      `knob:"starterCpu" default:"512" help:"CPU units of a starter task; half a vCPU starts the quota's 300 executions per second."`
	StarterMemory     int      `knob:"starterMemory" default:"1024" help:"Memory of a starter task in MiB; must be one that Fargate has for its CPU."`
	StarterTasks      int      `knob:"starterTasks" default:"1" help:"Tasks that start executions and carry outcomes back; 2 survive the loss of one without a pause."`

	StartRate  int `knob:"startRate" default:"0" help:"Executions started per second, by all starters together; 0 is the region's default quota (300 in us-east-1, us-west-2 and eu-west-1, 150 elsewhere)."`
	ReportRate int `knob:"reportRate" default:"0" help:"SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat requests per second, of each, of one worker; 0 is the region's default quota (500 or 300); workers slow down by themselves when they reach it together."`
	MaxBacklog int `knob:"maxBacklog" default:"2000" help:"Tasks waiting for workers above which no execution is started: requests wait where no clock runs."`

	EgressAllow string `knob:"egressAllow" default:"" help:"Hosts, domains and networks that calls may go to although they are not public, such as api.corp:8443,10.1.0.0/16 (docs/egress.md); empty: none."`
	EgressDeny  string `knob:"egressDeny" default:"" help:"The same for what they may not go to, whatever else is allowed."`

	LambdaZip string `knob:"lambdaZip" default:"" help:"Zip file with cmd/lambda's bootstrap binary; set, the tutorial's state machine and its function GenericApiCallLambda are deployed too."`

	Traces         string `knob:"traces" default:"xray" help:"Where the collector beside each task sends the fleet's traces: xray, otlp (Jaeger or any other, at otlpEndpoint), or off (no collector)."`
	OTLPEndpoint   string `knob:"otlpEndpoint" default:"" help:"OTLP endpoint of traces=otlp: HOST:PORT for gRPC without TLS, https://HOST:PORT for gRPC with TLS."`
	TraceRatio     string `knob:"traceRatio" default:"0.01" help:"Share of the calls that are traced, 0 to 1."`
	CollectorImage string `knob:"collectorImage" default:"public.ecr.aws/aws-observability/aws-otel-collector:v0.43.3" help:"Image of the collector: AWS Distro for OpenTelemetry."`

	LogRetentionDays int    `knob:"logRetentionDays" default:"30" help:"Days that every log group keeps its lines; one of CloudWatch's steps, such as 7, 30, 90, 365."`
	LogLevel         string `knob:"logLevel" default:"info" help:"Least level that the programs log: debug, info, warn or error."`
	MachineLog       string `knob:"machineLog" default:"ALL" help:"What the state machines log: ALL, ERROR, FATAL or OFF; never inputs or outputs."`

	AlarmTopicARN    string `knob:"alarmTopicArn" default:"" help:"Existing SNS topic that alarms go to; empty: a new one, PREFIX-alarms."`
	AlarmEmail       string `knob:"alarmEmail" default:"" help:"Address subscribed to the new topic; AWS asks it to confirm."`
	MaxWaitSeconds   int    `knob:"maxWaitSeconds" default:"900" help:"Age of the oldest request or task above which an alarm goes off."`
	MaxFailedPercent int    `knob:"maxFailedPercent" default:"10" help:"Share of failed executions in five minutes above which an alarm goes off; APIs that answer badly count."`
}

// Info describes one knob.
type Info struct{ Name, Default, Help string }

// List returns every knob, in order.
func List() []Info {
	t := reflect.TypeFor[Knobs]()
	list := make([]Info, 0, t.NumField())
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		list = append(list, Info{tag.Get("knob"), tag.Get("default"), tag.Get("help")})
	}
	return list
}

// Defaults are the knobs with nothing set.
func Defaults() Knobs {
	k, err := Read(nil)
	if err != nil {
		panic(err) // a default that its own check refuses
	}
	return k
}

// Read returns the knobs of a context. Keys that are not the app's own, as the
// CDK's "aws:…" and "@aws-cdk/…", are left alone. The error names every knob
// that is wrong, not only the first.
func Read(context map[string]any) (Knobs, error) {
	var k Knobs
	p := &problems{}
	v := reflect.ValueOf(&k).Elem()
	known := make(map[string]bool)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name := tag.Get("knob")
		known[name] = true
		text := tag.Get("default")
		if value, ok := context[name]; ok {
			text = textOf(value)
		}
		if err := set(v.Field(i), strings.TrimSpace(text)); err != nil {
			p.add(name, "%v", err)
		}
	}
	for name := range context {
		if !known[name] && !strings.ContainsAny(name, ":@/") {
			p.add(name, "no such knob%s", nearest(name, known))
		}
	}
	k.check(p)
	return k, p.err()
}

// textOf is a context value as -c would give it: cdk.json has numbers, booleans
// and lists too.
func textOf(value any) string {
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprint(value)
	}
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = fmt.Sprint(e)
	}
	return strings.Join(parts, ",")
}

func set(field reflect.Value, text string) error {
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("want a whole number, not %q", text)
		}
		field.SetInt(int64(n))
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("want true or false, not %q", text)
		}
		field.SetBool(b)
	case reflect.Slice:
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				field.Set(reflect.Append(field, reflect.ValueOf(part)))
			}
		}
	default:
		panic("knob of type " + field.Type().String())
	}
	return nil
}
