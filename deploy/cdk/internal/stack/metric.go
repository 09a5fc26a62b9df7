package stack

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	cw "github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"
)

// The expressions that the workers are scaled by, in CloudWatch's metric math.
// A metric without data counts as 0: a queue that nothing has touched for hours
// and a service that has never run report nothing.
const (
	// backlogMath is every task that is not done: what workers hold counts too,
	// or a busy fleet would look idle, and so does what waits for a retry.
	backlogMath = "FILL(visible,0)+FILL(inflight,0)+FILL(delayed,0)"

	// perWorkerMath is the backlog per running worker; with none running, the
	// whole backlog is that of the first.
	perWorkerMath = "(" + backlogMath + ")/IF(FILL(running,0)>0,FILL(running,0),1)"

	// wakeMath is 1 while tasks wait and nobody runs to take them.
	wakeMath = "IF(FILL(running,0)<1 AND FILL(visible,0)>0,1,0)"
)

// idleMath is 1 while more workers run than the fewest and there is no task.
func idleMath(fewest int) string {
	return "IF(FILL(running,0)>" + strconv.Itoa(fewest) + " AND (" + backlogMath + ")<1,1,0)"
}

func minutes(n int) awscdk.Duration { return awscdk.Duration_Minutes(jsii.Number(n)) }

func metricOf(namespace, name, statistic string, dimensions map[string]*string) cw.Metric {
	return cw.NewMetric(&cw.MetricProps{
		Namespace: jsii.String(namespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic),
		Period: minutes(1), DimensionsMap: &dimensions,
	})
}

func queueMetric(q awssqs.Queue, name, statistic string) cw.Metric {
	return metricOf("AWS/SQS", name, statistic, map[string]*string{"QueueName": q.QueueName()})
}

func (p *parts) taskMetric(s service, name string) cw.Metric {
	return metricOf("ECS/ContainerInsights", name, "Average", map[string]*string{
		"ClusterName": p.cluster.ClusterName(), "ServiceName": s.ServiceName(),
	})
}

// executionMetric is one of a state machine's executions.
func executionMetric(machine awsstepfunctions.StateMachine, name string) cw.Metric {
	return metricOf("AWS/States", name, "Sum", map[string]*string{"StateMachineArn": machine.StateMachineArn()})
}

// outcomeMetrics are the names in failedMath.
func outcomeMetrics(machine awsstepfunctions.StateMachine) map[string]cw.Metric {
	return map[string]cw.Metric{"succeeded": executionMetric(machine, "ExecutionsSucceeded"), "failed": executionMetric(machine, "ExecutionsFailed")}
}

// apiMetric is how often an API of Step Functions was throttled, in the whole
// account and region.
func apiMetric(api string) cw.Metric {
	return metricOf("AWS/States", "ThrottledEvents", "Sum", map[string]*string{
		"ServiceMetric": jsii.String("API"), "APIName": jsii.String(api),
	})
}

// backlogMetrics are the names in the expressions above.
func (p *parts) backlogMetrics() map[string]cw.Metric {
	tasks := p.queues.tasks.live
	return map[string]cw.Metric{
		"visible":  queueMetric(tasks, "ApproximateNumberOfMessagesVisible", "Maximum"),
		"inflight": queueMetric(tasks, "ApproximateNumberOfMessagesNotVisible", "Maximum"),
		"delayed":  queueMetric(tasks, "ApproximateNumberOfMessagesDelayed", "Maximum"),
		"running":  p.taskMetric(p.worker, "RunningTaskCount"),
	}
}

// math is an expression over some of the metrics, in periods of so many
// minutes.
func math(expression, label string, metrics map[string]cw.Metric, period int) cw.MathExpression {
	using := make(map[string]cw.IMetric, len(metrics))
	for id, m := range metrics {
		using[id] = m.With(&cw.MetricOptions{Period: minutes(period)})
	}
	return cw.NewMathExpression(&cw.MathExpressionProps{
		Expression: jsii.String(expression), Label: jsii.String(label), UsingMetrics: &using, Period: minutes(period),
	})
}

// pick returns the metrics of the names.
func pick(metrics map[string]cw.Metric, names ...string) map[string]cw.Metric {
	picked := make(map[string]cw.Metric, len(names))
	for _, n := range names {
		picked[n] = metrics[n]
	}
	return picked
}
