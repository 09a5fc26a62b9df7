package stack_test

import (
	"strings"
	"testing"

	"callfleet/deploy/cdk/internal/cfn"
)

// Every alarm, with what it watches and when it goes off, in the standard
// deployment.
func TestAlarms(t *testing.T) {
	t.Parallel()
	v := standard(t)
	type row struct{ metric, threshold, periods string }
	expected := map[string]row{
		"calls-requests-old":         {"ApproximateAgeOfOldestMessage", "900", "3"},
		"calls-tasks-old":            {"ApproximateAgeOfOldestMessage", "900", "3"},
		"calls-results-old":          {"ApproximateAgeOfOldestMessage", "900", "3"},
		"calls-requests-dlq":         {"ApproximateNumberOfMessagesVisible", "0", "1"},
		"calls-tasks-dlq":            {"ApproximateNumberOfMessagesVisible", "0", "1"},
		"calls-results-dlq":          {"ApproximateNumberOfMessagesVisible", "0", "1"},
		"calls-executions-failed":    {"ExecutionsFailed", "10", "1"},
		"calls-executions-timed-out": {"ExecutionsTimedOut", "0", "1"},
		"calls-executions-throttled": {"ExecutionThrottled", "0", "5"},
		"calls-batches-failed":       {"ExecutionsFailed", "10", "1"},
		"calls-batches-timed-out":    {"ExecutionsTimedOut", "0", "1"},
		"calls-batches-throttled":    {"ExecutionThrottled", "0", "5"},
		"calls-start-throttled":      {"ThrottledEvents", "0", "5"},
		"calls-report-throttled":     {"ThrottledEvents", "0", "5"},
		"calls-events-failed":        {"FailedInvocations", "0", "1"},
		"calls-no-worker":            {"RunningTaskCount", "0", "15"},
		"calls-no-starter":           {"RunningTaskCount", "0", "5"},
		"calls-table-throttled":      {"ThrottledRequests", "0", "1"},
	}
	topic := v.the(t, "AWS::SNS::Topic", "")
	for _, alarm := range v.template.Of("AWS::CloudWatch::Alarm") {
		name := cfn.Text(alarm.Properties["AlarmName"])
		if strings.HasPrefix(name, "calls-scaling-") {
			continue
		}
		r, ok := expected[name]
		if !ok {
			t.Errorf("alarm %s is not expected", name)
			continue
		}
		delete(expected, name)
		if !strings.Contains(cfn.Text(alarm.Properties), `"`+r.metric+`"`) {
			t.Errorf("%s does not watch %s", name, r.metric)
		}
		want(t, alarm, r.threshold, "Threshold")
		want(t, alarm, r.periods, "EvaluationPeriods")
		want(t, alarm, "GreaterThanThreshold", "ComparisonOperator")
		want(t, alarm, "notBreaching", "TreatMissingData")
		want(t, alarm, `[{"Ref":"`+topic.ID+`"}]`, "AlarmActions")
		want(t, alarm, `[{"Ref":"`+topic.ID+`"}]`, "OKActions")
		if text := cfn.Text(alarm.Properties["AlarmDescription"]); len(text) < 50 || !strings.HasSuffix(text, ".") {
			t.Errorf("%s says only %q", name, text)
		}
	}
	for name := range expected {
		t.Errorf("no alarm %s", name)
	}
}

// The names of queues in alarms are those of the queues they are about.
func TestQueueAlarmsWatchTheirQueue(t *testing.T) {
	t.Parallel()
	v := standard(t)
	for _, part := range []string{"requests", "tasks", "results"} {
		live := v.the(t, "AWS::SQS::Queue", `"QueueName":"calls-`+part+`"`)
		dead := v.the(t, "AWS::SQS::Queue", `"QueueName":"calls-`+part+`-dlq"`)
		old := v.the(t, "AWS::CloudWatch::Alarm", `"AlarmName":"calls-`+part+`-old"`)
		letters := v.the(t, "AWS::CloudWatch::Alarm", `"AlarmName":"calls-`+part+`-dlq"`)
		want(t, old, `{"Fn::GetAtt":["`+live.ID+`","QueueName"]}`, "Dimensions", 0, "Value")
		want(t, letters, `{"Fn::GetAtt":["`+dead.ID+`","QueueName"]}`, "Dimensions", 0, "Value")
	}
}

// The alarms of executions watch the state machine that they are named after,
// and the dashboard shows both.
func TestExecutionsOfBothMachinesAreWatched(t *testing.T) {
	t.Parallel()
	v := standard(t)
	single, batches := v.machine(t, "call-api"), v.machine(t, "calls-batch")
	for prefix, watched := range map[string][2]string{"calls-executions-": {single.ID, batches.ID}, "calls-batches-": {batches.ID, single.ID}} {
		for _, what := range []string{"failed", "timed-out", "throttled"} {
			alarm := cfn.Text(v.the(t, "AWS::CloudWatch::Alarm", `"AlarmName":"`+prefix+what+`"`).Properties)
			if !strings.Contains(alarm, `{"Ref":"`+watched[0]+`"}`) || strings.Contains(alarm, watched[1]) {
				t.Errorf("%s%s watches %s, want %s", prefix, what, alarm, watched[0])
			}
		}
	}
	board := cfn.Text(v.the(t, "AWS::CloudWatch::Dashboard", "").Properties)
	if a, b := strings.Count(board, single.ID), strings.Count(board, batches.ID); a != b || a == 0 {
		t.Errorf("the dashboard names call-api %d times and call-batch %d times, want as often", a, b)
	}
}

func TestFailedPercent(t *testing.T) {
	t.Parallel()
	expression := returned(t, standard(t).the(t, "AWS::CloudWatch::Alarm", `"calls-executions-failed"`).Properties["Metrics"])
	for _, row := range []struct {
		s    sample
		want float64
	}{
		{sample{}, 0}, {sample{"succeeded": 0, "failed": 0}, 0}, {sample{"succeeded": 90, "failed": 10}, 10}, {sample{"failed": 3}, 100}, {sample{"succeeded": 3}, 0},
	} {
		if got := at(t, expression, row.s); got != row.want {
			t.Errorf("%v: %v, want %v", row.s, got, row.want)
		}
	}
}

func TestNoWorkerMath(t *testing.T) {
	t.Parallel()
	expression := returned(t, standard(t).the(t, "AWS::CloudWatch::Alarm", `"calls-no-worker"`).Properties["Metrics"])
	for _, row := range []struct {
		s    sample
		want float64
	}{
		{sample{"visible": 3, "running": 0}, 1}, {sample{"visible": 3}, 1}, {sample{"visible": 3, "running": 1}, 0}, {sample{"running": 0}, 0},
	} {
		if got := at(t, expression, row.s); got != row.want {
			t.Errorf("%v: %v, want %v", row.s, got, row.want)
		}
	}
}

// CloudWatch may publish to the stack's own topic, and nobody without TLS. A
// topic that exists is left alone.
func TestTopic(t *testing.T) {
	t.Parallel()
	policy := cfn.Text(standard(t).the(t, "AWS::SNS::TopicPolicy", "").Properties)
	for _, part := range []string{
		`"Action":"sns:Publish","Condition":{"StringEquals":{"aws:SourceAccount":{"Ref":"AWS::AccountId"}}},"Effect":"Allow","Principal":{"Service":"cloudwatch.amazonaws.com"}`,
		`"Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny"`,
	} {
		if !strings.Contains(policy, part) {
			t.Errorf("topic policy is %s, want %s in it", policy, part)
		}
	}
	v := named(t, "everything")
	if n := len(v.template.Of("AWS::SNS::Topic")) + len(v.template.Of("AWS::SNS::TopicPolicy")); n != 0 {
		t.Errorf("%d topics and policies beside alarmTopicArn", n)
	}
	want(t, v.the(t, "AWS::CloudWatch::Alarm", `"partner_calls-no-worker"`), `["`+v.knobs.AlarmTopicARN+`"]`, "AlarmActions")
	mail := named(t, "existing-network")
	want(t, mail.the(t, "AWS::SNS::Subscription", ""), mail.knobs.AlarmEmail, "Endpoint")
}

// The dashboard shows each of the queues, the executions and the scaling.
func TestDashboard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		body := cfn.Text(v.the(t, "AWS::CloudWatch::Dashboard", "").Properties)
		for _, part := range []string{
			"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "ExecutionsStarted", "ExecutionsFailed", "ExecutionTime",
			"RunningTaskCount", "DesiredTaskCount", "ThrottledEvents", "FILL(inflight,0)", "SendTaskHeartbeat",
		} {
			if !strings.Contains(body, part) {
				t.Errorf("no %s on the dashboard", part)
			}
		}
		for _, alarm := range v.template.Of("AWS::CloudWatch::Alarm") {
			name := cfn.Text(alarm.Properties["AlarmName"])
			if !strings.Contains(name, "-scaling-") && !strings.Contains(body, alarm.ID) {
				t.Errorf("%s is not on the dashboard", name)
			}
		}
	})
}
