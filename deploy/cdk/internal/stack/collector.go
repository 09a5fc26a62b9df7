package stack

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"
)

const collectorMiB = 192

// addCollector puts an OpenTelemetry collector beside a program. Calls go on
// without it: it is not essential, and nothing waits for it.
func (p *parts) addCollector(definition task) awsecs.ContainerDefinition {
	if p.knobs.Traces == "xray" {
		p.allow(definition.TaskRole(), traceGrant())
	}
	name := *definition.Family()
	program := strings.TrimPrefix(name, p.knobs.Prefix+"-")
	return definition.AddContainer(jsii.String("collector"), &awsecs.ContainerDefinitionOptions{
		Image:                  awsecs.ContainerImage_FromRegistry(jsii.String(p.knobs.CollectorImage), nil),
		Essential:              jsii.Bool(false),
		ReadonlyRootFilesystem: jsii.Bool(true),
		User:                   jsii.String(user),
		LinuxParameters:        p.noPrivileges(program + "CollectorLinux"),
		MemoryLimitMiB:         jsii.Number(collectorMiB),
		Environment: &map[string]*string{
			"AOT_CONFIG_CONTENT": jsii.String(collectorConfig(p.knobs.Traces, p.knobs.OTLPEndpoint)),
		},
		StopTimeout: awscdk.Duration_Seconds(jsii.Number(stopSeconds)),
		Logging: awsecs.LogDriver_AwsLogs(&awsecs.AwsLogDriverProps{
			LogGroup:     p.newLogGroup(program+"CollectorLog", "/callfleet/"+p.knobs.Prefix+"/"+program+"-collector"),
			StreamPrefix: jsii.String("collector"),
			Mode:         awsecs.AwsLogDriverMode_NON_BLOCKING,
		}),
	})
}

// collectorConfig is the collector's own file: spans from the program in the
// same task, in batches, to where the knobs say.
func collectorConfig(traces, endpoint string) string {
	exporter, settings := "awsxray", "    indexed_attributes: [callfleet.template, callfleet.request.id]\n"
	if traces == "otlp" {
		exporter, settings = "otlp", "    endpoint: "+endpoint+"\n"
		if !strings.HasPrefix(endpoint, "https://") {
			settings += "    tls: {insecure: true}\n"
		}
	}
	return `receivers:
  otlp:
    protocols:
      grpc: {endpoint: 127.0.0.1:4317}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 75, spike_limit_percentage: 20}
  batch: {timeout: 1s}
exporters:
  ` + exporter + ":\n" + settings + `service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [` + exporter + `]
`
}
