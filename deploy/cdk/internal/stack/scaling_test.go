package stack_test

import (
	"strings"
	"testing"

	"callfleet/deploy/cdk/internal/cfn"
)

// sample is a moment of queue and service; nil has no data.
type sample map[string]float64

// queries are the metrics and expressions of an alarm or a policy, by id.
func queries(t *testing.T, list any) map[string]any {
	t.Helper()
	byID := map[string]any{}
	for _, q := range listOf(list) {
		byID[cfn.Text(cfn.Get(q, "Id"))] = q
	}
	if len(byID) == 0 {
		t.Fatal("no metrics")
	}
	return byID
}

// returned is the expression whose value is looked at.
func returned(t *testing.T, list any) string {
	t.Helper()
	expression := ""
	for _, q := range listOf(list) {
		if text, ok := cfn.Get(q, "Expression").(string); ok && cfn.Get(q, "ReturnData") != false {
			if expression != "" {
				t.Fatal("two expressions return data")
			}
			expression = text
		}
	}
	return expression
}

func at(t *testing.T, expression string, s sample) float64 {
	t.Helper()
	v, err := evaluate(expression, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestScalingRange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		target := v.the(t, "AWS::ApplicationAutoScaling::ScalableTarget", "")
		want(t, target, cfn.Text(float64(v.knobs.WorkerMin)), "MinCapacity")
		want(t, target, cfn.Text(float64(v.knobs.WorkerMax)), "MaxCapacity")
		want(t, target, "ecs:service:DesiredCount", "ScalableDimension")
		worker := v.the(t, "AWS::ECS::Service", `"ServiceName":"`+v.knobs.Prefix+`-worker"`)
		if !strings.Contains(cfn.Text(target.Properties["ResourceId"]), worker.ID) {
			t.Errorf("scales %s", cfn.Text(target.Properties["ResourceId"]))
		}
		if worker.Properties["DesiredCount"] != nil {
			t.Error("the worker service has a desired count: every deployment would undo scaling")
		}
		for _, p := range v.template.Of("AWS::ApplicationAutoScaling::ScalingPolicy") {
			want(t, p, `{"Ref":"`+target.ID+`"}`, "ScalingTargetId")
		}
	})
}

// The backlog is all that is not done, and it is divided by the tasks that run,
// never by zero.
func TestTrackingMath(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		policy := v.the(t, "AWS::ApplicationAutoScaling::ScalingPolicy", "TargetTrackingScaling")
		configuration := policy.Properties["TargetTrackingScalingPolicyConfiguration"]
		metrics := cfn.Get(configuration, "CustomizedMetricSpecification", "Metrics")
		expression := returned(t, metrics)
		for _, row := range []struct {
			s    sample
			want float64
		}{
			{sample{"visible": 100, "inflight": 50, "delayed": 10, "running": 4}, 40},
			{sample{"visible": 0, "inflight": 800, "delayed": 0, "running": 4}, 200}, // a busy fleet is not idle
			{sample{"visible": 0, "inflight": 0, "delayed": 30, "running": 3}, 10},   // nor is one that waits for retries
			{sample{"visible": 600, "inflight": 0, "delayed": 0, "running": 0}, 600}, // no division by zero
			{sample{"visible": 600}, 600},                                            // a service that never ran has no data
			{sample{}, 0},                                                            // nor has a queue that nobody touched
			{sample{"visible": 0, "inflight": 0, "delayed": 0, "running": 0}, 0},
		} {
			if got := at(t, expression, row.s); got != row.want {
				t.Errorf("%v: %v, want %v", row.s, got, row.want)
			}
		}
		want(t, policy, cfn.Text(float64(v.knobs.Backlog())), "TargetTrackingScalingPolicyConfiguration", "TargetValue")
		tasks := v.the(t, "AWS::SQS::Queue", `"QueueName":"`+v.knobs.Prefix+`-tasks"`)
		checkSources(t, v, queries(t, metrics), tasks.ID)
	})
}

// checkSources wants the metrics of the tasks queue and of the worker service.
func checkSources(t *testing.T, v *variant, byID map[string]any, queueID string) {
	t.Helper()
	worker := v.the(t, "AWS::ECS::Service", `"ServiceName":"`+v.knobs.Prefix+`-worker"`)
	for id, source := range map[string]struct{ metric, of string }{
		"visible": {"ApproximateNumberOfMessagesVisible", queueID}, "inflight": {"ApproximateNumberOfMessagesNotVisible", queueID},
		"delayed": {"ApproximateNumberOfMessagesDelayed", queueID}, "running": {"RunningTaskCount", worker.ID},
	} {
		metric := cfn.Get(byID[id], "MetricStat", "Metric")
		if metric != nil && (cfn.Get(metric, "MetricName") != source.metric || !strings.Contains(cfn.Text(cfn.Get(metric, "Dimensions")), source.of)) {
			t.Errorf("%s is %s", id, cfn.Text(metric))
		}
	}
}

// policyOf is the policy that an alarm takes.
func policyOf(t *testing.T, v *variant, alarm *cfn.Resource) *cfn.Resource {
	t.Helper()
	id, _ := cfn.Get(alarm.Properties, "AlarmActions", 0, "Ref").(string)
	if v.template.Resources[id] == nil {
		t.Fatalf("%s takes %s", alarm.ID, cfn.Text(alarm.Properties["AlarmActions"]))
	}
	return v.template.Resources[id]
}

// From zero: the first worker starts within a minute of the first task.
func TestScalingWakes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		alarm := v.the(t, "AWS::CloudWatch::Alarm", `"AlarmName":"`+v.knobs.Prefix+`-scaling-wake"`)
		expression := returned(t, alarm.Properties["Metrics"])
		for _, row := range []struct {
			s    sample
			want float64
		}{
			{sample{"visible": 1, "running": 0}, 1},
			{sample{"visible": 1}, 1},
			{sample{"visible": 0, "running": 0}, 0},
			{sample{}, 0},
			{sample{"visible": 5000, "running": 1}, 0},
		} {
			if got := at(t, expression, row.s); got != row.want {
				t.Errorf("%v: %v, want %v", row.s, got, row.want)
			}
		}
		want(t, alarm, "1", "Threshold")
		want(t, alarm, "1", "EvaluationPeriods")
		want(t, alarm, "GreaterThanOrEqualToThreshold", "ComparisonOperator")
		policy := policyOf(t, v, alarm)
		want(t, policy, "ChangeInCapacity", "StepScalingPolicyConfiguration", "AdjustmentType")
		want(t, policy, `[{"MetricIntervalLowerBound":0,"ScalingAdjustment":1}]`, "StepScalingPolicyConfiguration", "StepAdjustments")
	})
}

// Back to zero, or to the fewest: only when nothing waits, runs or is delayed
// for the idle time.
func TestScalingSleeps(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		alarm := v.the(t, "AWS::CloudWatch::Alarm", `"AlarmName":"`+v.knobs.Prefix+`-scaling-idle"`)
		expression := returned(t, alarm.Properties["Metrics"])
		above, fewest := float64(v.knobs.WorkerMin+1), float64(v.knobs.WorkerMin)
		for _, row := range []struct {
			s    sample
			want float64
		}{
			{sample{"visible": 0, "inflight": 0, "delayed": 0, "running": above}, 1},
			{sample{"running": above}, 1},
			{sample{"visible": 0, "inflight": 1, "delayed": 0, "running": above}, 0}, // a call is being made
			{sample{"visible": 0, "inflight": 0, "delayed": 1, "running": above}, 0}, // a retry will come
			{sample{"visible": 1, "inflight": 0, "delayed": 0, "running": above}, 0},
			{sample{"visible": 0, "inflight": 0, "delayed": 0, "running": fewest}, 0}, // nothing to end: no alarm for ever
		} {
			if got := at(t, expression, row.s); got != row.want {
				t.Errorf("%v: %v, want %v", row.s, got, row.want)
			}
		}
		want(t, alarm, cfn.Text(float64(v.knobs.IdleMinutes)), "EvaluationPeriods")
		policy := policyOf(t, v, alarm)
		want(t, policy, "ExactCapacity", "StepScalingPolicyConfiguration", "AdjustmentType")
		want(t, policy, `[{"MetricIntervalLowerBound":0,"ScalingAdjustment":`+cfn.Text(fewest)+`}]`, "StepScalingPolicyConfiguration", "StepAdjustments")
	})
}
