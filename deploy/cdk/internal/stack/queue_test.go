package stack_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"callfleet/deploy/cdk/internal/cfn"
	"callfleet/internal/config"
	"callfleet/statemachine"
)

func TestQueues(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		for _, part := range []string{"requests", "tasks", "results"} {
			live := v.the(t, "AWS::SQS::Queue", `"QueueName":"`+v.knobs.Prefix+"-"+part+`"`)
			dead := v.the(t, "AWS::SQS::Queue", `"QueueName":"`+v.knobs.Prefix+"-"+part+`-dlq"`)
			want(t, live, `{"Fn::GetAtt":["`+dead.ID+`","Arn"]}`, "RedrivePolicy", "deadLetterTargetArn")
			want(t, live, "15", "RedrivePolicy", "maxReceiveCount")
			want(t, live, "90", "VisibilityTimeout")
			want(t, live, "345600", "MessageRetentionPeriod")
			want(t, dead, "1209600", "MessageRetentionPeriod")
			for _, q := range []*cfn.Resource{live, dead} {
				want(t, q, "true", "SqsManagedSseEnabled")
				want(t, q, "20", "ReceiveMessageWaitTimeSeconds")
				policy := v.the(t, "AWS::SQS::QueuePolicy", `"Queues":[{"Ref":"`+q.ID+`"}]`)
				if !strings.Contains(cfn.Text(policy.Properties), `"Action":"sqs:*","Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny"`) {
					t.Errorf("%s can be used without TLS", q.ID)
				}
			}
		}
	})
}

// The bucket is closed, forgets, and is named to every program.
func TestBucket(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		b := v.the(t, "AWS::S3::Bucket", "")
		want(t, b, `[{"ServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]`, "BucketEncryption", "ServerSideEncryptionConfiguration")
		want(t, b, `{"BlockPublicAcls":true,"BlockPublicPolicy":true,"IgnorePublicAcls":true,"RestrictPublicBuckets":true}`, "PublicAccessBlockConfiguration")
		want(t, b, `[{"ObjectOwnership":"BucketOwnerEnforced"}]`, "OwnershipControls", "Rules")
		want(t, b, fmt.Sprintf(`[{"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":1},"ExpirationInDays":%d,"Id":"expire","Status":"Enabled"}]`, v.knobs.BlobDays),
			"LifecycleConfiguration", "Rules")
		if b.Properties["BucketName"] != nil || b.DeletionPolicy != "Retain" || b.UpdateReplacePolicy != "Retain" {
			t.Errorf("bucket: name %v, %s, %s; want none, Retain", b.Properties["BucketName"], b.DeletionPolicy, b.UpdateReplacePolicy)
		}
		policy := cfn.Text(v.the(t, "AWS::S3::BucketPolicy", `"Bucket":{"Ref":"`+b.ID+`"}`).Properties)
		for _, condition := range []string{`{"Bool":{"aws:SecureTransport":"false"}}`, `{"NumericLessThan":{"s3:TlsVersion":1.2}}`} {
			if !strings.Contains(policy, `"Action":"s3:*","Condition":`+condition+`,"Effect":"Deny"`) {
				t.Errorf("the bucket's policy has no denial of %s: %s", condition, policy)
			}
		}
		if strings.Contains(policy, `"Allow"`) {
			t.Errorf("the bucket's policy lets somebody in: %s", policy)
		}
		for _, family := range []string{"starter", "worker", "producer"} {
			found := false
			for _, e := range listOf(cfn.Get(container(t, v, family, family), "Environment")) {
				found = found || cfn.Text(e) == `{"Name":"CALLFLEET_BLOBS","Value":{"Fn::Join":["",["s3://",{"Ref":"`+b.ID+`"}]]}}`
			}
			if !found {
				t.Errorf("%s is not told of the bucket", family)
			}
		}
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		table := v.the(t, "AWS::DynamoDB::Table", "RANGE")
		want(t, table, v.knobs.Table, "TableName")
		want(t, table, `[{"AttributeName":"PK","KeyType":"HASH"},{"AttributeName":"SK","KeyType":"RANGE"}]`, "KeySchema")
		want(t, table, `[{"AttributeName":"PK","AttributeType":"S"},{"AttributeName":"SK","AttributeType":"S"}]`, "AttributeDefinitions")
		want(t, table, "PAY_PER_REQUEST", "BillingMode")
		want(t, table, "true", "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled")
		protected, deletion := "true", "Retain"
		if !v.knobs.KeepTable {
			protected, deletion = "false", "Delete"
		}
		want(t, table, protected, "DeletionProtectionEnabled")
		if table.DeletionPolicy != deletion || table.UpdateReplacePolicy != deletion {
			t.Errorf("table: %s, %s; want %s", table.DeletionPolicy, table.UpdateReplacePolicy, deletion)
		}
	})
}

// The definition is the repository's file, to the letter, and what it leaves
// open is filled with this stack's table and queue.
func TestDefinition(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		for _, row := range []struct{ name, file, text string }{
			{v.knobs.StateMachine, "call-api.asl.json", statemachine.CallAPI},
			{v.knobs.Prefix + "-batch", "call-batch.asl.json", statemachine.CallBatch},
		} {
			machine := v.machine(t, row.name)
			want(t, machine, "STANDARD", "StateMachineType")
			want(t, machine, "true", "TracingConfiguration", "Enabled")
			want(t, machine, row.text, "DefinitionString")
			substitutions, _ := machine.Properties["DefinitionSubstitutions"].(map[string]any)
			for _, name := range statemachine.Placeholders(row.text) {
				if substitutions[name] == nil {
					t.Errorf("${%s} has no substitution", name)
				}
			}
			table, tasks := v.the(t, "AWS::DynamoDB::Table", "RANGE"), v.the(t, "AWS::SQS::Queue", `"QueueName":"`+v.knobs.Prefix+`-tasks"`)
			want(t, machine, `{"TasksQueueUrl":{"Ref":"`+tasks.ID+`"},"TemplatesTable":{"Ref":"`+table.ID+`"}}`, "DefinitionSubstitutions")
			file, err := os.ReadFile(filepath.Join(root, "statemachine", row.file))
			if err != nil || string(file) != row.text {
				t.Errorf("file and embedded definition differ (%v)", err)
			}
		}
	})
}

// machine is the state machine of that name.
func (v *variant) machine(t *testing.T, name string) *cfn.Resource {
	t.Helper()
	return v.the(t, "AWS::StepFunctions::StateMachine", `"StateMachineName":"`+name+`"`)
}

func TestMachineLog(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		for _, machine := range v.template.Of("AWS::StepFunctions::StateMachine") {
			want(t, machine, v.knobs.MachineLog, "LoggingConfiguration", "Level")
			want(t, machine, "false", "LoggingConfiguration", "IncludeExecutionData")
		}
	})
}

// The tutorial's definition differs from its file in the function's ARN and the
// table's name alone.
func TestTutorial(t *testing.T) {
	t.Parallel()
	if n := len(standard(t).template.Of("AWS::Lambda::Function")); n != 0 {
		t.Errorf("%d functions without lambdaZip", n)
	}
	v := named(t, "everything")
	machine := v.the(t, "AWS::StepFunctions::StateMachine", "FunctionArn")
	filled, err := statemachine.Substitute(cfn.Text(machine.Properties["DefinitionString"]), map[string]string{
		"FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:GenericApiCallLambda", "TemplatesTable": "API_Template_Table",
	})
	if err != nil || filled != statemachine.Tutorial {
		t.Errorf("%s\n%v, want the tutorial's own", filled, err)
	}
	function := v.the(t, "AWS::Lambda::Function", "")
	want(t, function, "GenericApiCallLambda", "FunctionName")
	want(t, function, "provided.al2023", "Runtime")
	want(t, function, `["arm64"]`, "Architectures")
	want(t, function, "Active", "TracingConfig", "Mode")
	env := map[string]string{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}
	names := cfn.Values{v.the(t, "AWS::S3::Bucket", "").ID: "bodies"}
	for name, value := range cfn.Get(function.Properties, "Environment", "Variables").(map[string]any) {
		if env[name], err = names.String(value); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := config.ParseLambda(config.Input{Getenv: func(name string) string { return env[name] }})
	if err != nil || settings.Claims.Blobs.Secret() != "s3://bodies" {
		t.Errorf("the function understands %v as %+v, %v", env, settings, err)
	}
	var may []string
	for _, p := range permissions(t, v.template) {
		if strings.HasPrefix(p.holder, "FunctionRole") && strings.Contains(p.resource, "Bodies") {
			may = append(may, p.action)
		}
	}
	slices.Sort(may)
	if !slices.Equal(may, []string{"s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"}) {
		t.Errorf("the function may %v with bodies", may)
	}
	want(t, machine, `{"FunctionArn":{"Fn::GetAtt":["`+function.ID+`","Arn"]},"TemplatesTable":{"Ref":"`+
		v.the(t, "AWS::DynamoDB::Table", "RANGE").ID+`"}}`, "DefinitionSubstitutions")
}

// Ends of executions come to the results queue; those that cannot, to its dead
// letters.
func TestResultsRule(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		rule := v.the(t, "AWS::Events::Rule", "")
		machine, batches := v.machine(t, v.knobs.StateMachine), v.machine(t, v.knobs.Prefix+"-batch")
		results := v.the(t, "AWS::SQS::Queue", `"QueueName":"`+v.knobs.Prefix+`-results"`)
		dead := v.the(t, "AWS::SQS::Queue", `"QueueName":"`+v.knobs.Prefix+`-results-dlq"`)
		var pattern map[string]any
		if err := json.Unmarshal([]byte(`{"source":["aws.states"],"detail-type":["Step Functions Execution Status Change"],"detail":{
			"status":["SUCCEEDED","FAILED","TIMED_OUT","ABORTED"],"stateMachineArn":[{"Ref":"`+machine.ID+`"},{"Ref":"`+batches.ID+`"}]}}`), &pattern); err != nil {
			t.Fatal(err)
		}
		want(t, rule, cfn.Text(pattern), "EventPattern")
		want(t, rule, "ENABLED", "State")
		want(t, rule, `{"Fn::GetAtt":["`+results.ID+`","Arn"]}`, "Targets", 0, "Arn")
		want(t, rule, `{"Fn::GetAtt":["`+dead.ID+`","Arn"]}`, "Targets", 0, "DeadLetterConfig", "Arn")
		for _, q := range []*cfn.Resource{results, dead} {
			policy := cfn.Text(v.the(t, "AWS::SQS::QueuePolicy", `"Queues":[{"Ref":"`+q.ID+`"}]`).Properties)
			if !strings.Contains(policy, `"Principal":{"Service":"events.amazonaws.com"}`) || !strings.Contains(policy, rule.ID) {
				t.Errorf("%s does not let the rule send", q.ID)
			}
		}
	})
}

func TestLogGroupsForget(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, v *variant) {
		groups := v.template.Of("AWS::Logs::LogGroup")
		if len(groups) < 4 {
			t.Fatalf("%d log groups", len(groups))
		}
		for _, g := range groups {
			want(t, g, cfn.Text(float64(v.knobs.LogRetentionDays)), "RetentionInDays")
		}
	})
}
