package stack

import (
	"fmt"

	cw "github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"
)

// alarm goes off when its metric is above the limit in every one of so many
// periods.
type alarm struct {
	id, name string
	text     string // what it means and where to look
	metric   cw.IMetric
	above    int
	periods  int
}

func (p *parts) addAlarms() {
	topic := p.topic()
	for _, a := range p.alarmList() {
		made := cw.NewAlarm(p.stack, jsii.String(a.id+"Alarm"), &cw.AlarmProps{
			AlarmName:          p.name(a.name),
			AlarmDescription:   jsii.String(a.text),
			Metric:             a.metric,
			Threshold:          jsii.Number(a.above),
			ComparisonOperator: cw.ComparisonOperator_GREATER_THAN_THRESHOLD,
			EvaluationPeriods:  jsii.Number(max(a.periods, 1)),
			TreatMissingData:   cw.TreatMissingData_NOT_BREACHING,
		})
		made.AddAlarmAction(awscloudwatchactions.NewSnsAction(topic))
		made.AddOkAction(awscloudwatchactions.NewSnsAction(topic))
		p.alarms = append(p.alarms, made)
	}
}

func (p *parts) topic() awssns.ITopic {
	if p.knobs.AlarmTopicARN != "" {
		return awssns.Topic_FromTopicArn(p.stack, jsii.String("Alarms"), jsii.String(p.knobs.AlarmTopicARN))
	}
	topic := awssns.NewTopic(p.stack, jsii.String("Alarms"), &awssns.TopicProps{
		TopicName: p.name("alarms"), DisplayName: jsii.String("Callfleet " + p.knobs.Prefix), EnforceSSL: jsii.Bool(true),
	})
	// The policy above takes the place of the one that lets the account publish.
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions:    jsii.Strings("sns:Publish"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Resources:  &[]*string{topic.TopicArn()},
		Conditions: &map[string]any{"StringEquals": map[string]*string{"aws:SourceAccount": p.stack.Account()}},
	}))
	if p.knobs.AlarmEmail != "" {
		topic.AddSubscription(awssnssubscriptions.NewEmailSubscription(jsii.String(p.knobs.AlarmEmail), nil))
	}
	return topic
}

func (p *parts) alarmList() []alarm {
	list := p.queueAlarms()
	list = append(list, p.executionAlarms()...)
	list = append(list, p.fleetAlarms()...)
	return append(list, alarm{
		id: "TableThrottled", name: "table-throttled",
		text:   "DynamoDB refuses reads of templates: calls fail after a few retries. Look at the table's limits.",
		metric: p.table.MetricThrottledRequestsForOperations(&tableOperations),
	})
}

func (p *parts) queueAlarms() []alarm {
	var list []alarm
	for _, q := range []struct {
		id, part, hint string
		queue          queue
	}{
		{"Requests", "requests", "Starters are down, throttled, or held back by a long queue of tasks.", p.queues.requests},
		{"Tasks", "tasks", "Workers are down, at workerMax, or their APIs are slow.", p.queues.tasks},
		{"Results", "results", "Starters are down: outcomes do not reach the runs.", p.queues.results},
	} {
		list = append(list,
			alarm{
				id: q.id + "Old", name: q.part + "-old",
				text:   fmt.Sprintf("The oldest message of %s has waited for more than %d s. %s", *p.name(q.part), p.knobs.MaxWaitSeconds, q.hint),
				metric: queueMetric(q.queue.live, "ApproximateAgeOfOldestMessage", "Maximum"),
				above:  p.knobs.MaxWaitSeconds, periods: 3,
			},
			alarm{
				id: q.id + "Dead", name: q.part + "-dlq",
				text:   fmt.Sprintf("There are dead letters in %s-dlq, each with its reason in the attribute callfleet-dead-letter-reason.", *p.name(q.part)),
				metric: queueMetric(q.queue.dead, "ApproximateNumberOfMessagesVisible", "Maximum"),
			})
	}
	return list
}

// failedMath is the percentage of executions that did not succeed; 0 when none
// has ended.
const failedMath = "100*FILL(failed,0)/IF(FILL(succeeded,0)+FILL(failed,0)>0,FILL(succeeded,0)+FILL(failed,0),1)"

func (p *parts) executionAlarms() []alarm {
	list := machineAlarms(p.machines.callAPI, "Executions", "executions", p.knobs.MaxFailedPercent, "an API answers badly, or a template is wrong")
	list = append(list, machineAlarms(p.machines.callBatch, "Batches", "batches", p.knobs.MaxFailedPercent,
		"a template is missing, or no worker brought a batch to its end; calls that fail do not fail their batch")...)
	return append(list, p.apiAlarms()...)
}

// machineAlarms watch the executions of one state machine.
func machineAlarms(machine awsstepfunctions.StateMachine, id, name string, maxFailed int, why string) []alarm {
	return []alarm{
		{
			id: id + "Failed", name: name + "-failed",
			text:   fmt.Sprintf("More than %d %% of the %s of five minutes failed: %s.", maxFailed, name, why),
			metric: math(failedMath, "failed, %", outcomeMetrics(machine), 5), above: maxFailed,
		},
		{
			id: id + "TimedOut", name: name + "-timed-out",
			text:   "Executions ended by their time limit: a definition was changed so that it has one, and it is too short.",
			metric: executionMetric(machine, "ExecutionsTimedOut"),
		},
		{
			id: id + "Throttled", name: name + "-throttled",
			text:   "Step Functions slows transitions down: the account's StateTransition quota is reached.",
			metric: executionMetric(machine, "ExecutionThrottled"), periods: 5,
		},
	}
}

// apiAlarms watch what the fleet asks of Step Functions, and what comes back.
func (p *parts) apiAlarms() []alarm {
	return []alarm{
		{
			id: "StartThrottled", name: "start-throttled",
			text:   "StartExecution is throttled for minutes: startRate is above the account's quota, or others use it too.",
			metric: apiMetric("StartExecution"), periods: 5,
		},
		{
			id: "ReportThrottled", name: "report-throttled",
			text:   "SendTaskSuccess is throttled for minutes: the workers report more than the account's quota.",
			metric: apiMetric("SendTaskSuccess"), periods: 5,
		},
		{
			id: "EventsFailed", name: "events-failed",
			text:   "EventBridge cannot deliver ends of executions to the results queue: runs wait for outcomes. Look at the queue's policy.",
			metric: metricOf("AWS/Events", "FailedInvocations", "Sum", map[string]*string{"RuleName": p.name("ended")}),
		},
	}
}

func (p *parts) fleetAlarms() []alarm {
	return []alarm{
		{
			id: "NoWorker", name: "no-worker",
			text:   "Tasks have waited for 15 minutes and no worker runs: look at the events of the service, capacity, image, subnets.",
			metric: math(wakeMath, "tasks wait, no worker", pick(p.backlogMetrics(), "visible", "running"), 1), periods: 15,
		},
		{
			id: "NoStarter", name: "no-starter",
			text: "No starter has run for 5 minutes: no execution starts and no outcome comes back.",
			metric: math("IF(FILL(running,0)<1,1,0)", "no starter",
				map[string]cw.Metric{"running": p.taskMetric(p.starter, "RunningTaskCount")}, 1), periods: 5,
		},
	}
}
