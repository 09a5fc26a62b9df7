package stack

import (
	"fmt"
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

const (
	user        = "65532:65532"    // nobody in particular; the images' files are readable by all
	health      = "127.0.0.1:8084" // asked by the health check in the same task, by nobody else
	stopSeconds = 30               // CALLFLEET_DRAIN, 25 s, and some to hand back what is left
)

type (
	cluster = awsecs.Cluster
	task    = awsecs.FargateTaskDefinition
	service = awsecs.FargateService
)

func (p *parts) addCluster() {
	p.cluster = awsecs.NewCluster(p.stack, jsii.String("Cluster"), &awsecs.ClusterProps{
		ClusterName:         jsii.String(p.knobs.Prefix),
		Vpc:                 p.network.vpc,
		ContainerInsightsV2: awsecs.ContainerInsights_ENABLED, // scaling needs its RunningTaskCount
	})
	// The construct's own way to this leaves open whether a service is made
	// before its cluster has the providers.
	p.providers = awsecs.NewCfnClusterCapacityProviderAssociations(p.stack, jsii.String("CapacityProviders"), &awsecs.CfnClusterCapacityProviderAssociationsProps{
		Cluster:                         p.cluster.ClusterName(),
		CapacityProviders:               jsii.Strings("FARGATE", "FARGATE_SPOT"),
		DefaultCapacityProviderStrategy: []any{},
	})
}

// program is what runs in a task.
type program struct {
	id, name    string // "Worker", "worker": also the name of its container
	image       string // as in knobs; empty: built
	target      string // the build's target
	cpu, memory int
	isServer    bool // it has a health check and is told to stop
	environment map[string]string
	grants      []grant
}

// newTask is a task definition: the program, and the collector beside it.
func (p *parts) newTask(g program) task {
	architecture := awsecs.CpuArchitecture_X86_64()
	if p.isARM() {
		architecture = awsecs.CpuArchitecture_ARM64()
	}
	definition := awsecs.NewFargateTaskDefinition(p.stack, jsii.String(g.id+"Task"), &awsecs.FargateTaskDefinitionProps{
		Family:         p.name(g.name),
		Cpu:            jsii.Number(g.cpu),
		MemoryLimitMiB: jsii.Number(g.memory),
		RuntimePlatform: &awsecs.RuntimePlatform{
			CpuArchitecture: architecture, OperatingSystemFamily: awsecs.OperatingSystemFamily_LINUX(),
		},
		TaskRole: awsiam.NewRole(p.stack, jsii.String(g.id+"Role"), &awsiam.RoleProps{
			AssumedBy:   awsiam.NewServicePrincipal(jsii.String("ecs-tasks.amazonaws.com"), nil),
			Description: jsii.String("What a Callfleet " + g.name + " task may do"),
		}),
	})
	p.allow(definition.TaskRole(), g.grants...)
	container := definition.AddContainer(jsii.String(g.name), p.container(g, definition))
	if p.knobs.Traces != "off" {
		container.AddContainerDependencies(&awsecs.ContainerDependency{
			Container: p.addCollector(definition), Condition: awsecs.ContainerDependencyCondition_START,
		})
	}
	return definition
}

func (p *parts) container(g program, definition task) *awsecs.ContainerDefinitionOptions {
	environment := p.environment(g)
	options := &awsecs.ContainerDefinitionOptions{
		Image:                  p.image(g),
		Essential:              jsii.Bool(true),
		ReadonlyRootFilesystem: jsii.Bool(true),
		User:                   jsii.String(user),
		Environment:            &environment,
		StopTimeout:            awscdk.Duration_Seconds(jsii.Number(stopSeconds)),
		Logging: awsecs.LogDriver_AwsLogs(&awsecs.AwsLogDriverProps{
			LogGroup:     p.newLogGroup(g.id+"Log", "/callfleet/"+p.knobs.Prefix+"/"+g.name),
			StreamPrefix: jsii.String(g.name),
			Mode:         awsecs.AwsLogDriverMode_NON_BLOCKING, // calls matter more than lines about them
		}),
		LinuxParameters: p.noPrivileges(g.id + "Linux"),
	}
	if g.isServer {
		options.HealthCheck = &awsecs.HealthCheck{
			Command:     jsii.Strings("CMD", "/worker", "--health-check"),
			Interval:    awscdk.Duration_Seconds(jsii.Number(10)),
			Timeout:     awscdk.Duration_Seconds(jsii.Number(5)),
			Retries:     jsii.Number(3),
			StartPeriod: awscdk.Duration_Seconds(jsii.Number(30)),
		}
	}
	return options
}

// noPrivileges takes from a container what root could do, if it were root.
func (p *parts) noPrivileges(id string) awsecs.LinuxParameters {
	linux := awsecs.NewLinuxParameters(p.stack, jsii.String(id), nil)
	linux.DropCapabilities(awsecs.Capability_ALL)
	return linux
}

// environment is what every program is told, and what this one is told beside
// it.
func (p *parts) environment(g program) map[string]*string {
	all := p.settings()
	all["CALLFLEET_LOG_FORMAT"] = "json"
	all["CALLFLEET_LOG_LEVEL"] = p.knobs.LogLevel
	all["GOMEMLIMIT"] = fmt.Sprintf("%dMiB", p.memoryOf(g)*9/10)
	if p.knobs.Traces != "off" {
		all["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:4317"
		all["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc"
		all["OTEL_TRACES_SAMPLER"] = "parentbased_traceidratio"
		all["OTEL_TRACES_SAMPLER_ARG"] = p.knobs.TraceRatio
		all["OTEL_METRICS_EXPORTER"] = "none" // neither X-Ray nor Jaeger takes them; CloudWatch has the queues' and the tasks'
	}
	for name, value := range g.environment {
		all[name] = value
	}
	environment := make(map[string]*string, len(all))
	for name, value := range all {
		environment[name] = jsii.String(value)
	}
	return environment
}

// memoryOf is what is left to a program beside the collector, in MiB.
func (p *parts) memoryOf(g program) int {
	if p.knobs.Traces == "off" {
		return g.memory
	}
	return g.memory - collectorMiB
}

// settings are where everything is; a person's shell needs no more.
func (p *parts) settings() map[string]string {
	blobs, expiry := p.blobs()
	return map[string]string{
		"CALLFLEET_BLOBS":         blobs,
		"CALLFLEET_BLOB_EXPIRY":   expiry,
		"CALLFLEET_QUEUE":         "sqs://" + p.knobs.Prefix,
		"CALLFLEET_TEMPLATES":     "dynamodb://" + p.knobs.Table,
		"CALLFLEET_STEPFUNCTIONS": "aws:",
		"CALLFLEET_STATE_MACHINE": *p.machines.callAPI.StateMachineArn(),

		"CALLFLEET_BATCH_STATE_MACHINE": *p.machines.callBatch.StateMachineArn(),
	}
}

// addStarter is the service that turns requests into executions and carries
// outcomes back: always on, and small.
func (p *parts) addStarter() {
	k := p.knobs
	definition := p.newTask(program{
		id: "Starter", name: "starter", image: k.WorkerImage, target: "worker",
		cpu: k.StarterCPU, memory: k.StarterMemory, isServer: true,
		environment: map[string]string{
			"CALLFLEET_ROLES":         "start",
			"CALLFLEET_WORKER_LISTEN": health,
			"CALLFLEET_START_RATE":    rate(k.StartRate / k.StarterTasks), // each takes its share
			"CALLFLEET_MAX_BACKLOG":   strconv.Itoa(k.MaxBacklog),
		},
		grants: append(p.starterGrants(), p.protectGrant()),
	})
	p.starter = p.newService("Starter", "starter", definition, &awsecs.FargateServiceProps{
		DesiredCount: jsii.Number(k.StarterTasks),
		CapacityProviderStrategies: &[]*awsecs.CapacityProviderStrategy{
			{CapacityProvider: jsii.String("FARGATE"), Weight: jsii.Number(1)},
		},
	})
}

// rate is a number of requests per second as the programs read it.
func rate(n int) string {
	if n == 0 {
		return "auto"
	}
	return strconv.Itoa(n)
}

// addWorker is the service that makes the calls. It has no desired count: that
// is scaling's, and a deployment must not set it back.
func (p *parts) addWorker() {
	k := p.knobs
	environment := map[string]string{
		"CALLFLEET_ROLES":         "call",
		"CALLFLEET_WORKER_LISTEN": health,
		"CALLFLEET_SLOTS":         strconv.Itoa(k.WorkerSlots),
		"CALLFLEET_REPORT_RATE":   rate(k.ReportRate),
	}
	for name, rules := range map[string]string{"CALLFLEET_EGRESS_ALLOW": k.EgressAllow, "CALLFLEET_EGRESS_DENY": k.EgressDeny} {
		if rules != "" {
			environment[name] = rules
		}
	}
	definition := p.newTask(program{
		id: "Worker", name: "worker", image: k.WorkerImage, target: "worker",
		cpu: k.WorkerCPU, memory: k.WorkerMemory, isServer: true, environment: environment,
		grants: append(p.workerGrants(), p.protectGrant()),
	})
	var strategy []*awsecs.CapacityProviderStrategy
	for provider, weight := range map[string]int{"FARGATE": 100 - k.WorkerSpotPercent, "FARGATE_SPOT": k.WorkerSpotPercent} {
		if weight > 0 {
			strategy = append(strategy, &awsecs.CapacityProviderStrategy{CapacityProvider: jsii.String(provider), Weight: jsii.Number(weight)})
		}
	}
	p.worker = p.newService("Worker", "worker", definition, &awsecs.FargateServiceProps{CapacityProviderStrategies: &strategy})
}

func (p *parts) newService(id, name string, definition task, props *awsecs.FargateServiceProps) service {
	props.Cluster = p.cluster
	props.ServiceName = p.name(name)
	props.TaskDefinition = definition
	props.AssignPublicIp = jsii.Bool(p.network.publicIP)
	props.VpcSubnets = p.network.subnets
	props.SecurityGroups = &[]awsec2.ISecurityGroup{p.network.group}
	props.CircuitBreaker = &awsecs.DeploymentCircuitBreaker{Enable: jsii.Bool(true), Rollback: jsii.Bool(true)}
	props.MinHealthyPercent = jsii.Number(100)
	props.MaxHealthyPercent = jsii.Number(200)
	props.EnableECSManagedTags = jsii.Bool(true)
	props.PropagateTags = awsecs.PropagatedTagSource_SERVICE
	made := awsecs.NewFargateService(p.stack, jsii.String(id), props)
	made.Node().AddDependency(p.providers)
	return made
}

// addProducer is a task to run once, by "aws ecs run-task" with a command of
// one's own: "doctor", "call …". Its permissions are a policy of their own, for
// the people who run the producer elsewhere.
func (p *parts) addProducer() {
	p.producer = p.newTask(program{
		id: "Producer", name: "producer", image: p.knobs.ProducerImage, target: "producer",
		cpu: 256, memory: 512,
	})
	policy := awsiam.NewManagedPolicy(p.stack, jsii.String("ProducerPolicy"), &awsiam.ManagedPolicyProps{
		ManagedPolicyName: p.name("producer-" + *p.stack.Region()),
		Description:       jsii.String("Publish calls, manage templates and look at executions of a Callfleet"),
	})
	for _, g := range p.producerGrants() {
		policy.AddStatements(statement(g))
	}
	// The names of the runs' queues begin as the dead letters' name does.
	policy.AddStatements(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Effect:    awsiam.Effect_DENY,
		Actions:   jsii.Strings("sqs:DeleteQueue"),
		Resources: &[]*string{p.queues.results.dead.QueueArn()},
	}))
	p.policy = policy
	p.producer.TaskRole().AddManagedPolicy(policy)
}
