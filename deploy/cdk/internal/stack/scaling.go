package stack

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	scale "github.com/aws/aws-cdk-go/awscdk/v2/awsapplicationautoscaling"
	cw "github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// Cool-downs, in seconds.
const (
	// wakeSeconds is the time a first task needs until it counts as running:
	// image, start, health check, and a minute until CloudWatch has it.
	wakeSeconds = 180
	// growSeconds is short: more workers are cheap, and CloudWatch's minute is a
	// brake already.
	growSeconds = 60
	// shrinkSeconds is long, so that a pause between two bursts does not cost a
	// start. Busy tasks keep themselves alive by scale-in protection.
	shrinkSeconds = 300
)

// addScaling moves the number of workers with the backlog. Three policies share
// the work, since none does all of it: target tracking keeps the backlog per
// worker, but cannot multiply its way out of zero; one step wakes the first
// worker; one ends the last when there has been nothing to do for a while.
func (p *parts) addScaling() {
	k := p.knobs
	target := scale.NewScalableTarget(p.stack, jsii.String("WorkerScaling"), &scale.ScalableTargetProps{
		ServiceNamespace:  scale.ServiceNamespace_ECS,
		ScalableDimension: jsii.String("ecs:service:DesiredCount"),
		ResourceId:        jsii.String("service/" + *p.cluster.ClusterName() + "/" + *p.worker.ServiceName()),
		MinCapacity:       jsii.Number(k.WorkerMin),
		MaxCapacity:       jsii.Number(k.WorkerMax),
		Role: awsiam.Role_FromRoleArn(p.stack, jsii.String("WorkerScalingRole"), jsii.String("arn:"+*p.stack.Partition()+":iam::"+*p.stack.Account()+
			":role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService"),
			&awsiam.FromRoleArnOptions{Mutable: jsii.Bool(false)}),
	})
	p.addTracking(target)
	p.addStep(target, step{
		id: "WorkerWake", policy: "wake", kind: scale.AdjustmentType_CHANGE_IN_CAPACITY, by: 1, cooldown: wakeSeconds,
		text: "tasks wait and no worker runs: start the first", math: wakeMath, minutes: 1, metrics: []string{"visible", "running"},
	})
	p.addStep(target, step{
		id: "WorkerIdle", policy: "idle", kind: scale.AdjustmentType_EXACT_CAPACITY, by: k.WorkerMin, cooldown: shrinkSeconds,
		text: "no task for a while: down to the fewest workers", math: idleMath(k.WorkerMin), minutes: k.IdleMinutes,
		metrics: []string{"visible", "inflight", "delayed", "running"},
	})
}

// addTracking keeps the backlog per running worker at the knob's value.
func (p *parts) addTracking(target scale.ScalableTarget) {
	metrics := p.backlogMetrics()
	queries := []any{&scale.CfnScalingPolicy_TargetTrackingMetricDataQueryProperty{
		Id: jsii.String("perworker"), Expression: jsii.String(perWorkerMath),
		Label: jsii.String("Backlog per running worker"), ReturnData: jsii.Bool(true),
	}}
	for _, id := range slices.Sorted(maps.Keys(metrics)) {
		stat := metrics[id].ToMetricConfig().MetricStat
		dimensions := []any{}
		for _, d := range *stat.Dimensions {
			dimensions = append(dimensions, &scale.CfnScalingPolicy_TargetTrackingMetricDimensionProperty{
				Name: d.Name, Value: jsii.String(d.Value.(string)),
			})
		}
		queries = append(queries, &scale.CfnScalingPolicy_TargetTrackingMetricDataQueryProperty{
			Id: jsii.String(id), ReturnData: jsii.Bool(false),
			MetricStat: &scale.CfnScalingPolicy_TargetTrackingMetricStatProperty{
				Stat: stat.Statistic,
				Metric: &scale.CfnScalingPolicy_TargetTrackingMetricProperty{
					Namespace: stat.Namespace, MetricName: stat.MetricName, Dimensions: &dimensions,
				},
			},
		})
	}
	scale.NewCfnScalingPolicy(p.stack, jsii.String("WorkerTracking"), &scale.CfnScalingPolicyProps{
		PolicyName:      p.name("worker-backlog"),
		PolicyType:      jsii.String("TargetTrackingScaling"),
		ScalingTargetId: target.ScalableTargetId(),
		TargetTrackingScalingPolicyConfiguration: &scale.CfnScalingPolicy_TargetTrackingScalingPolicyConfigurationProperty{
			TargetValue:      jsii.Number(p.knobs.Backlog()),
			ScaleOutCooldown: jsii.Number(growSeconds),
			ScaleInCooldown:  jsii.Number(shrinkSeconds),
			CustomizedMetricSpecification: &scale.CfnScalingPolicy_CustomizedMetricSpecificationProperty{
				Metrics: &queries,
			},
		},
	})
}

// step is one step scaling policy, taken while its expression is 1.
type step struct {
	id, policy string
	text, math string
	metrics    []string
	minutes    int
	kind       scale.AdjustmentType
	by         int
	cooldown   int
}

func (p *parts) addStep(target scale.ScalableTarget, s step) {
	action := scale.NewStepScalingAction(p.stack, jsii.String(s.id), &scale.StepScalingActionProps{
		PolicyName:     p.name("worker-" + s.policy),
		ScalingTarget:  target,
		AdjustmentType: s.kind,
		Cooldown:       awscdk.Duration_Seconds(jsii.Number(s.cooldown)),
	})
	action.AddAdjustment(&scale.AdjustmentTier{Adjustment: jsii.Number(s.by), LowerBound: jsii.Number(0)})
	alarm := cw.NewAlarm(p.stack, jsii.String(s.id+"Alarm"), &cw.AlarmProps{
		AlarmName:          p.name("scaling-" + s.policy),
		AlarmDescription:   jsii.String("Scaling, not a fault: " + s.text),
		Metric:             math(s.math, s.policy, pick(p.backlogMetrics(), s.metrics...), 1),
		Threshold:          jsii.Number(1),
		ComparisonOperator: cw.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
		EvaluationPeriods:  jsii.Number(s.minutes),
		TreatMissingData:   cw.TreatMissingData_NOT_BREACHING,
	})
	alarm.AddAlarmAction(awscloudwatchactions.NewApplicationScalingAction(action))
}
