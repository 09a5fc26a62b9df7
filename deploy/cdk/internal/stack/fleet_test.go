package stack_test

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"callfleet/deploy/cdk/internal/cfn"
	"callfleet/internal/config"
)

var schemes = config.Schemes{
	Queue: []string{"sqs"}, StepFunctions: []string{"aws"}, Templates: []string{"dynamodb"}, Blobs: []string{"s3"},
}

// container is one container of a task definition.
func container(t *testing.T, v *variant, family, name string) any {
	t.Helper()
	task := v.the(t, "AWS::ECS::TaskDefinition", `"Family":"`+v.knobs.Prefix+"-"+family+`"`)
	for _, c := range listOf(task.Properties["ContainerDefinitions"]) {
		if cfn.Get(c, "Name") == name {
			return c
		}
	}
	return nil
}

// environment is what a container is told; references are made up.
func environment(t *testing.T, c any) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, e := range listOf(cfn.Get(c, "Environment")) {
		value, ok := cfn.Get(e, "Value").(string)
		switch before, _ := cfn.Get(e, "Value", "Fn::Join", 1, 0).(string); {
		case ok:
		case before == "s3://":
			value = before + "bodies"
		default:
			value = "arn:aws:states:us-east-1:123456789012:stateMachine:call-api"
		}
		env[cfn.Text(cfn.Get(e, "Name"))] = value
	}
	return env
}

// Every container of every task: no rights, no writing, a log, and time to
// finish when it is told to stop.
func TestContainers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		for _, family := range []string{"starter", "worker", "producer"} {
			c := container(t, v, family, family)
			for path, expected := range map[string]string{
				"ReadonlyRootFilesystem": "true", "User": "65532:65532", "StopTimeout": "30", "Essential": "true",
			} {
				if got := cfn.Text(cfn.Get(c, path)); got != expected {
					t.Errorf("%s of %s is %s, want %s", path, family, got, expected)
				}
			}
			if got := cfn.Text(cfn.Get(c, "LinuxParameters", "Capabilities", "Drop")); got != `["ALL"]` {
				t.Errorf("%s drops %s", family, got)
			}
			if got := cfn.Text(cfn.Get(c, "LogConfiguration", "LogDriver")); got != "awslogs" {
				t.Errorf("%s logs to %s", family, got)
			}
			check := `["CMD","/worker","--health-check"]`
			if family == "producer" {
				check = "null"
			}
			if got := cfn.Text(cfn.Get(c, "HealthCheck", "Command")); got != check {
				t.Errorf("health check of %s is %s, want %s", family, got, check)
			}
			task := v.the(t, "AWS::ECS::TaskDefinition", `"Family":"`+v.knobs.Prefix+"-"+family+`"`)
			want(t, task, strings.ToUpper(v.knobs.Architecture), "RuntimePlatform", "CpuArchitecture")
		}
	})
}

// The environment is one that the programs understand, with no variable that
// they do not know, and it means what the knobs say.
func TestEnvironmentIsUnderstood(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		k := v.knobs
		starter := parsed(t, environment(t, container(t, v, "starter", "starter")))
		if !slices.Equal(starter.Roles, []string{"start"}) || starter.MaxBacklog != k.MaxBacklog {
			t.Errorf("starter: %+v", starter)
		}
		share := "auto"
		if k.StartRate > 0 {
			share = cfn.Text(float64(k.StartRate / k.StarterTasks))
		}
		if got := environment(t, container(t, v, "starter", "starter"))["CALLFLEET_START_RATE"]; got != share {
			t.Errorf("each of %d starters starts %s/s of %d/s, want %s", k.StarterTasks, got, k.StartRate, share)
		}
		worker := parsed(t, environment(t, container(t, v, "worker", "worker")))
		if len(worker.Egress.Allow) != strings.Count(k.EgressAllow, ":") || len(worker.Egress.Deny) != strings.Count(k.EgressDeny, "*") {
			t.Errorf("calls may go to %v, not to %v", worker.Egress.Allow, worker.Egress.Deny)
		}
		if !slices.Equal(worker.Roles, []string{"call"}) || worker.Slots != k.WorkerSlots {
			t.Errorf("worker: %+v", worker)
		}
		for _, w := range []*config.Worker{starter, worker} {
			if w.Blobs.Scheme() != "s3" || w.BlobExpiry != time.Duration(k.BlobDays)*24*time.Hour {
				t.Errorf("large bodies: %+v", w.Claims)
			}
			if w.Queue.Scheme() != "sqs" || w.Templates.Path() != k.Table || w.StepFunctions.Scheme() != "aws" || !strings.HasPrefix(w.StateMachine, "arn:") {
				t.Errorf("backends: %+v", w.Backends)
			}
			stop := 30 * time.Second
			if w.Drain >= stop {
				t.Errorf("drain %s, stopTimeout %s", w.Drain, stop)
			}
			visibility := 90 * time.Second
			if w.Lease != visibility {
				t.Errorf("lease %s, visibility of the queues %s", w.Lease, visibility)
			}
		}
	})
}

// parsed is an environment as the worker reads it.
func parsed(t *testing.T, env map[string]string) *config.Worker {
	t.Helper()
	read := map[string]bool{}
	w, err := config.ParseWorker(config.Input{
		Stdout: io.Discard, Schemes: schemes,
		Getenv: func(name string) string { read[name] = true; return env[name] },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if strings.HasPrefix(name, "CALLFLEET_") && !read[name] {
			t.Errorf("the worker knows no %s", name)
		}
	}
	return w
}

func TestServices(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		for _, name := range []string{"starter", "worker"} {
			s := v.the(t, "AWS::ECS::Service", `"ServiceName":"`+v.knobs.Prefix+"-"+name+`"`)
			want(t, s, `{"Enable":true,"Rollback":true}`, "DeploymentConfiguration", "DeploymentCircuitBreaker")
			public := "DISABLED"
			if v.knobs.PublicSubnets {
				public = "ENABLED"
			}
			want(t, s, public, "NetworkConfiguration", "AwsvpcConfiguration", "AssignPublicIp")
			if !strings.Contains(cfn.Text(s.DependsOn), "CapacityProviders") {
				t.Errorf("%s may be made before the cluster has capacity providers", name)
			}
		}
		want(t, v.the(t, "AWS::ECS::Service", `-starter"`), cfn.Text(float64(v.knobs.StarterTasks)), "DesiredCount")
	})
	spot := named(t, "everything").the(t, "AWS::ECS::Service", `_calls-worker"`)
	if got := cfn.Text(spot.Properties["CapacityProviderStrategy"]); !strings.Contains(got, `{"CapacityProvider":"FARGATE_SPOT","Weight":70}`) ||
		!strings.Contains(got, `{"CapacityProvider":"FARGATE","Weight":30}`) {
		t.Errorf("workers run on %s", got)
	}
	want(t, standard(t).the(t, "AWS::ECS::Service", `-worker"`), `[{"CapacityProvider":"FARGATE","Weight":100}]`, "CapacityProviderStrategy")
}

// Scaling reads RunningTaskCount, which only Container Insights has.
func TestCluster(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		want(t, v.the(t, "AWS::ECS::Cluster", ""), `[{"Name":"containerInsights","Value":"enabled"}]`, "ClusterSettings")
	})
}

// The collector listens to its own task, and ends nothing when it ends.
func TestCollector(t *testing.T) {
	t.Parallel()
	for name, exports := range map[string][]string{
		"standard":   {"exporters: [awsxray]", "endpoint: 127.0.0.1:4317"},
		"everything": {"exporters: [otlp]", "endpoint: https://jaeger.example.com:4317"},
	} {
		v := named(t, name)
		for _, family := range []string{"starter", "worker", "producer"} {
			c := container(t, v, family, "collector")
			if cfn.Get(c, "Essential") != false || cfn.Get(c, "ReadonlyRootFilesystem") != true || cfn.Get(c, "User") != "65532:65532" {
				t.Errorf("collector of %s %s: %s", name, family, cfn.Text(c))
			}
			for _, part := range exports {
				if config := environment(t, c)["AOT_CONFIG_CONTENT"]; !strings.Contains(config, part) {
					t.Errorf("collector of %s %s has no %q in\n%s", name, family, part, config)
				}
			}
			env := environment(t, container(t, v, family, family))
			if env["OTEL_EXPORTER_OTLP_ENDPOINT"] != "http://127.0.0.1:4317" || env["OTEL_TRACES_SAMPLER_ARG"] != v.knobs.TraceRatio {
				t.Errorf("%s %s traces to %v", name, family, env)
			}
		}
	}
	off := named(t, "existing-network")
	if container(t, off, "worker", "collector") != nil || environment(t, container(t, off, "worker", "worker"))["OTEL_EXPORTER_OTLP_ENDPOINT"] != "" {
		t.Error("traces=off has a collector")
	}
}

// Nothing can reach a task; endpoints are reached by tasks alone.
func TestNobodyGetsIn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		tasks := v.the(t, "AWS::EC2::SecurityGroup", "Callfleet tasks")
		if tasks.Properties["SecurityGroupIngress"] != nil {
			t.Errorf("ingress %s", cfn.Text(tasks.Properties["SecurityGroupIngress"]))
		}
		for _, rule := range v.template.Of("AWS::EC2::SecurityGroupIngress") {
			text := cfn.Text(rule.Properties)
			if !strings.Contains(text, `"SourceSecurityGroupId":{"Fn::GetAtt":["`+tasks.ID) || strings.Contains(text, "CidrIp") {
				t.Errorf("ingress %s", text)
			}
		}
		for _, s := range v.template.Of("AWS::ECS::Service") {
			want(t, s, `[{"Fn::GetAtt":["`+tasks.ID+`","GroupId"]}]`, "NetworkConfiguration", "AwsvpcConfiguration", "SecurityGroups")
		}
	})
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for name, expected := range map[string]struct{ vpcs, gateways, endpoints int }{
		"standard": {1, 1, 2}, "everything": {1, 2, 7}, "existing-network": {0, 0, 0}, "built": {1, 0, 2},
	} {
		template := named(t, name).template
		if v, g, e := len(template.Of("AWS::EC2::VPC")), len(template.Of("AWS::EC2::NatGateway")), len(template.Of("AWS::EC2::VPCEndpoint")); v != expected.vpcs ||
			g != expected.gateways || e != expected.endpoints {
			t.Errorf("%s: %d VPCs, %d NAT gateways, %d endpoints; want %+v", name, v, g, e, expected)
		}
	}
	existing := named(t, "existing-network").the(t, "AWS::ECS::Service", `-worker"`)
	want(t, existing, `["subnet-0123456789abcdef0","subnet-0123456789abcdef1"]`, "NetworkConfiguration", "AwsvpcConfiguration", "Subnets")
}

// Images are built by the CDK, or come from where the knobs say, with
// permission to pull.
func TestImages(t *testing.T) {
	t.Parallel()
	if got := cfn.Text(cfn.Get(container(t, standard(t), "worker", "worker"), "Image")); got != "registry.example.com/callfleet/worker:1" {
		t.Errorf("image %s", got)
	}
	if got := cfn.Text(cfn.Get(container(t, named(t, "everything"), "producer", "producer"), "Image")); !strings.Contains(got, ".dkr.ecr.eu-west-1.") ||
		!strings.Contains(got, "/callfleet/producer@sha256:0123") {
		t.Errorf("image %s", got)
	}
	for _, p := range permissions(t, named(t, "everything").template) {
		if p.action == "ecr:BatchGetImage" && !strings.Contains(p.resource, ":repository/callfleet/") {
			t.Errorf("pulls from %s", p.resource)
		}
	}
	built := cfn.Text(cfn.Get(container(t, named(t, "built"), "worker", "worker"), "Image"))
	if !strings.Contains(built, "cdk-hnb659fds-container-assets") {
		t.Errorf("image %s, want one that cdk deploy builds", built)
	}
}

// The outputs hold the line to paste.
func TestOutputs(t *testing.T) {
	t.Parallel()
	v := standard(t)
	machine, batches, bucket := v.machine(t, "call-api"), v.machine(t, "calls-batch"), v.the(t, "AWS::S3::Bucket", "")
	line, err := cfn.Values{"AWS::Region": "eu-west-1", machine.ID: "arn:machine", batches.ID: "arn:batches", bucket.ID: "bodies"}.String(v.template.Outputs["Settings"].Value)
	expected := "export AWS_REGION=eu-west-1 CALLFLEET_BATCH_STATE_MACHINE=arn:batches CALLFLEET_BLOBS=s3://bodies CALLFLEET_BLOB_EXPIRY=168h CALLFLEET_QUEUE=sqs://calls CALLFLEET_STATE_MACHINE=arn:machine CALLFLEET_STEPFUNCTIONS=aws: CALLFLEET_TEMPLATES=dynamodb://API_Template_Table"
	if err != nil || line != expected {
		t.Errorf("%s, %v; want %s", line, err, expected)
	}
	for _, name := range []string{"TableName", "BucketName", "StateMachineArn", "BatchStateMachineArn", "RequestsQueueUrl", "TasksQueueUrl", "ResultsQueueUrl", "ProducerPolicyArn", "DashboardLink", "ExecutionsLink"} {
		if o := v.template.Outputs[name]; o.Value == nil || o.Description == "" {
			t.Errorf("no output %s", name)
		}
	}
	if named(t, "everything").template.Outputs["TutorialArn"].Value == nil {
		t.Error("no output TutorialArn")
	}
}
