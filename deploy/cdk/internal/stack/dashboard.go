package stack

import (
	cw "github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"
)

// tableOperations are those that the state machine and the workers use.
var tableOperations = awsdynamodb.OperationsMetricOptions{
	Operations: &[]awsdynamodb.Operation{awsdynamodb.Operation_GET_ITEM}, Period: minutes(1),
}

const flowPicture = "```\n" +
	"producer -> requests -> starter => StartExecution => Step Functions (call-api, call-batch)\n" +
	"   ^                                                 | GetItem (table), SendMessage\n" +
	"   |                    tasks <----------------------'\n" +
	"   |                      '-> worker x N => API, then SendTaskSuccess / Failure / Heartbeat\n" +
	"   '-- results-RUN <- starter (relay) <- results <- EventBridge: execution ended\n" +
	"```\n"

// addDashboard shows the flow from left to right and top to bottom: queues,
// executions, workers and their scaling, errors.
func (p *parts) addDashboard() {
	board := cw.NewDashboard(p.stack, jsii.String("Dashboard"), &cw.DashboardProps{
		DashboardName: jsii.String(p.dashboardName()), DefaultInterval: minutes(180),
	})
	board.AddWidgets(
		cw.NewTextWidget(&cw.TextWidgetProps{Markdown: jsii.String(flowPicture), Width: jsii.Number(14), Height: jsii.Number(5)}),
		cw.NewAlarmStatusWidget(&cw.AlarmStatusWidgetProps{Title: jsii.String("Alarms"), Alarms: &p.alarms, Width: jsii.Number(10), Height: jsii.Number(5)}),
	)
	board.AddWidgets(
		p.queueGraph("Requests", p.queues.requests), p.queueGraph("Tasks", p.queues.tasks), p.queueGraph("Results", p.queues.results),
	)
	metrics := p.backlogMetrics()
	board.AddWidgets(
		executionGraph("Executions per minute", p.machines.callAPI), timeGraph("Time of an execution, ms", p.machines.callAPI),
		graph("Backlog per running worker", math(perWorkerMath, "backlog per worker", metrics, 1)),
	)
	board.AddWidgets(
		executionGraph("Batches per minute", p.machines.callBatch), timeGraph("Time of a batch, ms", p.machines.callBatch),
		graph("Failed batches, %", math(failedMath, "failed, %", outcomeMetrics(p.machines.callBatch), 5)),
	)
	board.AddWidgets(
		graph("Tasks: running, wanted", p.taskMetric(p.worker, "RunningTaskCount"), p.taskMetric(p.worker, "DesiredTaskCount"),
			p.taskMetric(p.starter, "RunningTaskCount")),
		graph("CPU and memory of workers, %", p.worker.MetricCpuUtilization(nil), p.worker.MetricMemoryUtilization(nil)),
		graph("Throttled by Step Functions", apiMetric("StartExecution"), apiMetric("SendTaskSuccess"), apiMetric("SendTaskHeartbeat"),
			executionMetric(p.machines.callAPI, "ExecutionThrottled"), executionMetric(p.machines.callBatch, "ExecutionThrottled")),
	)
	board.AddWidgets(
		graph("Dead letters", queueMetric(p.queues.requests.dead, "ApproximateNumberOfMessagesVisible", "Maximum"),
			queueMetric(p.queues.tasks.dead, "ApproximateNumberOfMessagesVisible", "Maximum"),
			queueMetric(p.queues.results.dead, "ApproximateNumberOfMessagesVisible", "Maximum")),
		graph("Failed executions, %", math(failedMath, "failed, %", outcomeMetrics(p.machines.callAPI), 5)),
		cw.NewLogQueryWidget(&cw.LogQueryWidgetProps{
			Title:         jsii.String("Warnings and errors of workers"),
			LogGroupNames: jsii.Strings("/callfleet/"+p.knobs.Prefix+"/worker", "/callfleet/"+p.knobs.Prefix+"/starter"),
			QueryLines:    jsii.Strings("fields @timestamp, level, msg, error", `filter level in ["WARN", "ERROR"]`, "sort @timestamp desc", "limit 50"),
			Width:         jsii.Number(8), Height: jsii.Number(6),
		}),
	)
}

func graph(title string, metrics ...cw.IMetric) cw.IWidget {
	return cw.NewGraphWidget(&cw.GraphWidgetProps{Title: jsii.String(title), Left: &metrics, Width: jsii.Number(8), Height: jsii.Number(6)})
}

// executionGraph is how executions of a state machine begin and end.
func executionGraph(title string, machine awsstepfunctions.StateMachine) cw.IWidget {
	var metrics []cw.IMetric
	for _, name := range []string{"ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"} {
		metrics = append(metrics, executionMetric(machine, name))
	}
	return graph(title, metrics...)
}

// timeGraph is how long they take.
func timeGraph(title string, machine awsstepfunctions.StateMachine) cw.IWidget {
	took := executionMetric(machine, "ExecutionTime")
	return graph(title, took.With(&cw.MetricOptions{Statistic: jsii.String("p50")}), took.With(&cw.MetricOptions{Statistic: jsii.String("p99")}))
}

// queueGraph is what is in a queue, and how long it has been there.
func (p *parts) queueGraph(title string, q queue) cw.IWidget {
	return cw.NewGraphWidget(&cw.GraphWidgetProps{
		Title: jsii.String(title), Width: jsii.Number(8), Height: jsii.Number(6),
		Left: &[]cw.IMetric{
			queueMetric(q.live, "ApproximateNumberOfMessagesVisible", "Maximum"),
			queueMetric(q.live, "ApproximateNumberOfMessagesNotVisible", "Maximum"),
			queueMetric(q.live, "ApproximateNumberOfMessagesDelayed", "Maximum"),
		},
		Right: &[]cw.IMetric{queueMetric(q.live, "ApproximateAgeOfOldestMessage", "Maximum")},
	})
}
