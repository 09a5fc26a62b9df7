package stack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"callfleet/deploy/cdk/internal/cfn"
)

// Actions that AWS lists no resource type for: they alone may be allowed on
// "*", and each only where it is needed.
var anywhere = map[string]string{
	"states:SendTaskSuccess":        "WorkerRole",
	"states:SendTaskFailure":        "WorkerRole",
	"states:SendTaskHeartbeat":      "WorkerRole",
	"sqs:ListQueues":                "ProducerPolicy",
	"ecr:GetAuthorizationToken":     "TaskExecutionRole",
	"xray:PutTraceSegments":         "",
	"xray:PutTelemetryRecords":      "",
	"xray:GetSamplingRules":         "Role", // the state machines'
	"xray:GetSamplingTargets":       "Role",
	"logs:CreateLogDelivery":        "Role",
	"logs:GetLogDelivery":           "Role",
	"logs:UpdateLogDelivery":        "Role",
	"logs:DeleteLogDelivery":        "Role",
	"logs:ListLogDeliveries":        "Role",
	"logs:PutResourcePolicy":        "Role",
	"logs:DescribeResourcePolicies": "Role",
	"logs:DescribeLogGroups":        "Role",
}

// Ends of ARNs that stand for more than one resource.
var families = []string{"-results-*", "/*", ":*"}

// allowed is one action that a role or a person may take on a resource.
type allowed struct{ holder, action, resource string }

// permissions are all that the template allows to whom it creates.
func permissions(t *testing.T, template *cfn.Template) []allowed {
	t.Helper()
	var list []allowed
	for _, kind := range []string{"AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"} {
		for _, r := range template.Of(kind) {
			statements, _ := cfn.Get(r.Properties, "PolicyDocument", "Statement").([]any)
			for _, s := range statements {
				if cfn.Get(s, "Effect") != "Allow" {
					continue
				}
				for _, action := range listOf(cfn.Get(s, "Action")) {
					for _, resource := range listOf(cfn.Get(s, "Resource")) {
						list = append(list, allowed{r.ID, cfn.Text(action), cfn.Text(resource)})
					}
				}
			}
		}
	}
	if len(list) < 40 {
		t.Fatalf("%d permissions found: the walk is wrong", len(list))
	}
	for _, r := range template.Of("AWS::IAM::Role") {
		if r.Properties["Policies"] != nil || r.Properties["ManagedPolicyArns"] != nil && r.ID[:8] != "Producer" {
			t.Errorf("%s has policies that this walk does not see", r.ID)
		}
	}
	return list
}

func listOf(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

func TestNothingIsAllowedOnEverything(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		for _, p := range permissions(t, v.template) {
			if strings.Contains(p.action, "*") {
				t.Errorf("%s: action %s has a wildcard", p.holder, p.action)
			}
			if p.resource == "*" {
				if holder, ok := anywhere[p.action]; !ok || !strings.Contains(p.holder, holder) {
					t.Errorf("%s: %s on *", p.holder, p.action)
				}
				continue
			}
			if strings.Contains(p.resource, "*") && !slices.ContainsFunc(families, func(end string) bool {
				return strings.HasSuffix(strings.TrimRight(p.resource, `"]}`), end)
			}) {
				t.Errorf("%s: %s on %s", p.holder, p.action, p.resource)
			}
		}
	})
}

// What each program may do, and nothing beside it. A run's queue is written
// "results-*".
func TestPermissionsOfThePrograms(t *testing.T) {
	t.Parallel()
	v := standard(t)
	names := map[string]string{}
	for kind, label := range map[string]string{
		"AWS::SQS::Queue": "QueueName", "AWS::DynamoDB::Table": "TableName", "AWS::StepFunctions::StateMachine": "StateMachineName",
	} {
		for _, r := range v.template.Of(kind) {
			names[r.ID] = cfn.Text(r.Properties[label])
		}
	}
	for _, r := range v.template.Of("AWS::S3::Bucket") {
		names[r.ID] = "bodies"
	}
	short := func(resource string) string {
		for id, name := range names {
			if strings.Contains(resource, `"`+id+`"`) {
				if _, keys, ok := strings.Cut(resource, `"/`); ok {
					return name + "/" + strings.TrimRight(keys, `"]}`)
				}
				if strings.Contains(resource, "execution:") {
					return name + " executions"
				}
				return name
			}
		}
		for _, part := range []string{"calls-results-*", ":task/"} {
			if strings.Contains(resource, part) {
				return part
			}
		}
		return resource
	}
	got := map[string][]string{}
	for _, p := range permissions(t, v.template) {
		for _, holder := range []string{"StarterRole", "WorkerRole", "ProducerPolicy", "CallApiRole", "CallBatchRole"} {
			if strings.HasPrefix(p.holder, holder) && p.resource != "*" {
				got[holder] = append(got[holder], p.action+" "+short(p.resource))
			}
		}
	}
	for holder, expected := range map[string][]string{
		"StarterRole": slices.Concat(
			on("calls-requests", consumes...), on("calls-results", consumes...), on("calls-tasks", looks...),
			on("calls-requests-dlq", sends...), on("calls-results-dlq", sends...), on("calls-results-*", sends...),
			on("call-api", "states:StartExecution"), on("call-api executions", "states:DescribeExecution"),
			on("calls-batch", "states:StartExecution"), on("calls-batch executions", "states:DescribeExecution"),
			on(":task/", "ecs:GetTaskProtection", "ecs:UpdateTaskProtection"),
		),
		"WorkerRole": slices.Concat(
			on("calls-tasks", append([]string{"sqs:SendMessage"}, consumes...)...), on("calls-tasks-dlq", sends...), on("calls-results-*", sends...),
			on("API_Template_Table-flows", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Scan"),
			on("bodies/answers/*", "s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"), on("bodies/params/*", "s3:GetObject"),
			on("bodies/batches/*", "s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"), on("bodies", "s3:ListBucket"), on(":task/", "ecs:GetTaskProtection", "ecs:UpdateTaskProtection"),
		),
		"ProducerPolicy": slices.Concat(
			on("calls-requests", sends...), on("calls-tasks", sends...), on("calls-results", looks...),
			on("calls-results-*", append([]string{"sqs:CreateQueue", "sqs:DeleteQueue", "sqs:TagQueue"}, consumes...)...),
			on("calls-requests-dlq", looks...), on("calls-tasks-dlq", looks...), on("calls-results-dlq", looks...),
			on("API_Template_Table", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:DescribeTable"),
			on("API_Template_Table-flows", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:Scan"),
			on("bodies/params/*", "s3:PutObject", "s3:AbortMultipartUpload"), on("bodies/*", "s3:GetObject"),
			on("bodies/batches/*", "s3:PutObject", "s3:AbortMultipartUpload"),
			on("bodies", "s3:ListBucket", "s3:GetLifecycleConfiguration"),
			on("call-api", "states:ListExecutions", "states:DescribeStateMachine"),
			on("call-api executions", "states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"),
			on("calls-batch", "states:ListExecutions", "states:DescribeStateMachine"),
			on("calls-batch executions", "states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"),
		),
		"CallBatchRole": slices.Concat(on("API_Template_Table", "dynamodb:GetItem"), on("calls-tasks", "sqs:SendMessage")),
		"CallApiRole":   slices.Concat(on("API_Template_Table", "dynamodb:GetItem"), on("calls-tasks", "sqs:SendMessage")),
	} {
		slices.Sort(expected)
		slices.Sort(got[holder])
		if !slices.Equal(got[holder], expected) {
			t.Errorf("%s may\n  %s\nwant\n  %s", holder, strings.Join(got[holder], "\n  "), strings.Join(expected, "\n  "))
		}
	}
}

var (
	looks    = []string{"sqs:GetQueueUrl", "sqs:GetQueueAttributes"}
	sends    = append([]string{"sqs:SendMessage"}, looks...)
	consumes = append([]string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}, looks...)
)

func on(resource string, actions ...string) []string {
	list := make([]string, len(actions))
	for i, a := range actions {
		list[i] = a + " " + resource
	}
	return list
}

// Dead letters have a name that the queues of runs might have: the producer
// must not be able to remove them.
func TestProducerKeepsDeadLetters(t *testing.T) {
	t.Parallel()
	policy := standard(t).the(t, "AWS::IAM::ManagedPolicy", "sqs:CreateQueue")
	var denied []string
	for _, s := range listOf(cfn.Get(policy.Properties, "PolicyDocument", "Statement")) {
		if cfn.Get(s, "Effect") == "Deny" {
			denied = append(denied, cfn.Text(cfn.Get(s, "Action"))+" "+cfn.Text(cfn.Get(s, "Resource")))
		}
	}
	dead := standard(t).the(t, "AWS::SQS::Queue", `"calls-results-dlq"`)
	if want := fmt.Sprintf(`sqs:DeleteQueue {"Fn::GetAtt":["%s","Arn"]}`, dead.ID); !slices.Equal(denied, []string{want}) {
		t.Errorf("denied: %v, want %s", denied, want)
	}
}

// Each role is for one service alone.
func TestRolesAreForOneService(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		for _, r := range v.template.Of("AWS::IAM::Role") {
			trust := listOf(cfn.Get(r.Properties, "AssumeRolePolicyDocument", "Statement"))
			service, ok := cfn.Get(trust[0], "Principal", "Service").(string)
			if len(trust) != 1 || !ok || !strings.HasSuffix(service, ".amazonaws.com") {
				t.Errorf("%s trusts %s", r.ID, cfn.Text(trust))
			}
		}
	})
}

func TestNagHasNoObjection(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		for _, o := range v.nag {
			t.Error(o)
		}
	})
}

// A suppression without a sentence, or of a whole rule where findings can be
// named, would hide what comes later.
func TestSuppressionsAreExplained(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		found := 0
		for _, r := range v.template.Resources {
			for _, s := range listOf(cfn.Get(r.Metadata, "cdk_nag", "rules_to_suppress")) {
				if s == nil {
					continue
				}
				found++
				reason, _ := cfn.Get(s, "reason").(string)
				if len(reason) < 40 || !strings.HasSuffix(reason, ".") {
					t.Errorf("%s: reason %q", r.ID, reason)
				}
				if cfn.Get(s, "id") == "AwsSolutions-IAM5" && cfn.Get(s, "applies_to") == nil {
					t.Errorf("%s: %s is suppressed as a whole", r.ID, cfn.Get(s, "id"))
				}
			}
		}
		if found == 0 {
			t.Error("no suppressions found: the walk is wrong")
		}
	})
}
