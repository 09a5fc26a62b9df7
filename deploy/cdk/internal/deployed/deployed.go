// Package deployed makes what a synthesised template describes, as far as an
// emulator of AWS can: queues, table, bucket and state machines. It stands in for
// CloudFormation in tests, so that the fleet runs on the stack's own settings.
package deployed

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"callfleet/deploy/cdk/internal/cfn"
)

// Stack is a template whose queues, table, bucket and state machines exist.
type Stack struct {
	cfg      aws.Config
	template *cfn.Template
	values   cfn.Values
}

// Create makes them. Account is the emulator's; roles and whatever else a
// template has are not made, they have an ARN alone.
func Create(ctx context.Context, cfg aws.Config, account string, t *cfn.Template) (*Stack, error) {
	s := &Stack{cfg: cfg, template: t, values: cfn.Values{
		"AWS::Region": cfg.Region, "AWS::AccountId": account, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
	}}
	for _, role := range t.Of("AWS::IAM::Role") {
		s.values[role.ID+".Arn"] = fmt.Sprintf("arn:aws:iam::%s:role/%s", account, role.ID)
	}
	for _, step := range []struct {
		kind   string
		create func(context.Context, *cfn.Resource) error
	}{
		{"AWS::SQS::Queue", s.createQueue},
		{"AWS::DynamoDB::Table", s.createTable},
		{"AWS::S3::Bucket", s.createBucket},
		{"AWS::StepFunctions::StateMachine", s.createMachine},
	} {
		for _, r := range t.Of(step.kind) {
			if s.values[r.ID] != "" {
				continue // a queue of dead letters, made with the queue before it
			}
			if err := step.create(ctx, r); err != nil {
				return nil, fmt.Errorf("create %s: %w", r.ID, err)
			}
		}
	}
	return s, nil
}

// queueAttributes are the properties of a queue that SQS takes by their name.
var queueAttributes = []string{"VisibilityTimeout", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "DelaySeconds", "SqsManagedSseEnabled"}

func (s *Stack) createQueue(ctx context.Context, r *cfn.Resource) error {
	client := sqs.NewFromConfig(s.cfg)
	attributes := map[string]string{}
	if dead, ok := cfn.Get(r.Properties, "RedrivePolicy", "deadLetterTargetArn", "Fn::GetAtt", 0).(string); ok && s.values[dead] == "" {
		if err := s.createQueue(ctx, s.template.Resources[dead]); err != nil {
			return err
		}
	}
	if policy := r.Properties["RedrivePolicy"]; policy != nil {
		resolved, err := s.values.Resolve(policy)
		if err != nil {
			return err
		}
		attributes["RedrivePolicy"] = cfn.Text(resolved)
	}
	for _, name := range queueAttributes {
		if v := r.Properties[name]; v != nil {
			attributes[name] = cfn.Text(v)
		}
	}
	name, err := s.values.String(r.Properties["QueueName"])
	if err != nil {
		return err
	}
	made, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		return err
	}
	s.values[r.ID] = aws.ToString(made.QueueUrl)
	s.values[r.ID+".QueueName"] = name
	s.values[r.ID+".Arn"] = fmt.Sprintf("arn:aws:sqs:%s:%s:%s", s.cfg.Region, s.values["AWS::AccountId"], name)
	return nil
}

// createTable takes the template's properties as they are: DynamoDB's API has
// the same names.
func (s *Stack) createTable(ctx context.Context, r *cfn.Resource) error {
	resolved, err := s.values.Resolve(r.Properties)
	if err != nil {
		return err
	}
	var p struct {
		TableName                 string
		AttributeDefinitions      []dynamotypes.AttributeDefinition
		KeySchema                 []dynamotypes.KeySchemaElement
		BillingMode               dynamotypes.BillingMode
		DeletionProtectionEnabled bool
	}
	if err := json.Unmarshal([]byte(cfn.Text(resolved)), &p); err != nil {
		return err
	}
	made, err := dynamodb.NewFromConfig(s.cfg).CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &p.TableName, AttributeDefinitions: p.AttributeDefinitions, KeySchema: p.KeySchema,
		BillingMode: p.BillingMode, DeletionProtectionEnabled: &p.DeletionProtectionEnabled,
	})
	if err != nil {
		return err
	}
	s.values[r.ID] = p.TableName
	s.values[r.ID+".Arn"] = aws.ToString(made.TableDescription.TableArn)
	return nil
}

// createBucket makes a bucket of a name made up, with the template's rules.
func (s *Stack) createBucket(ctx context.Context, r *cfn.Resource) error {
	client := s3.NewFromConfig(s.cfg, func(o *s3.Options) { o.UsePathStyle = true })
	name := strings.ToLower(r.ID)
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		return err
	}
	var rules []struct {
		ID                             string `json:"Id"`
		Status                         s3types.ExpirationStatus
		ExpirationInDays               int32
		AbortIncompleteMultipartUpload *s3types.AbortIncompleteMultipartUpload
	}
	if err := json.Unmarshal([]byte(cfn.Text(cfn.Get(r.Properties, "LifecycleConfiguration", "Rules"))), &rules); err != nil {
		return err
	}
	var put []s3types.LifecycleRule
	for _, rule := range rules {
		put = append(put, s3types.LifecycleRule{
			ID: &rule.ID, Status: rule.Status, Filter: &s3types.LifecycleRuleFilter{Prefix: aws.String("")},
			Expiration:                     &s3types.LifecycleExpiration{Days: &rule.ExpirationInDays},
			AbortIncompleteMultipartUpload: rule.AbortIncompleteMultipartUpload,
		})
	}
	_, err := client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{
		Bucket: &name, LifecycleConfiguration: &s3types.BucketLifecycleConfiguration{Rules: put},
	})
	s.values[r.ID], s.values[r.ID+".Arn"] = name, "arn:aws:s3:::"+name
	return err
}

var placeholder = regexp.MustCompile(`\$\{([A-Za-z0-9]+)\}`)

func (s *Stack) createMachine(ctx context.Context, r *cfn.Resource) error {
	substitutions, err := s.values.Resolve(r.Properties["DefinitionSubstitutions"])
	if err != nil {
		return err
	}
	definition, err := s.values.String(r.Properties["DefinitionString"])
	if err != nil {
		return err
	}
	definition = placeholder.ReplaceAllStringFunc(definition, func(m string) string {
		if value, ok := cfn.Get(substitutions, m[2:len(m)-1]).(string); ok {
			return value
		}
		return m
	})
	role, err := s.values.String(r.Properties["RoleArn"])
	if err != nil {
		return err
	}
	name := cfn.Text(r.Properties["StateMachineName"])
	made, err := sfn.NewFromConfig(s.cfg).CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: &name, Definition: &definition, RoleArn: &role, Type: sfntypes.StateMachineType(cfn.Text(r.Properties["StateMachineType"])),
	})
	if err != nil {
		return err
	}
	s.values[r.ID] = aws.ToString(made.StateMachineArn)
	s.values[r.ID+".Arn"] = aws.ToString(made.StateMachineArn)
	s.values[r.ID+".Name"] = name
	return nil
}

// Output is the value of an output of the stack.
func (s *Stack) Output(name string) (string, error) {
	value, err := s.values.String(s.template.Outputs[name].Value)
	if err != nil {
		return "", fmt.Errorf("output %s: %w", name, err)
	}
	return value, nil
}

// Environment is what a container of a task definition's family is told.
func (s *Stack) Environment(family, container string) (map[string]string, error) {
	for _, task := range s.template.Of("AWS::ECS::TaskDefinition") {
		if task.Properties["Family"] != family {
			continue
		}
		containers, _ := task.Properties["ContainerDefinitions"].([]any)
		for _, c := range containers {
			if cfn.Get(c, "Name") == container {
				return s.environment(c)
			}
		}
	}
	return nil, fmt.Errorf("environment of %s: no container %s", family, container)
}

func (s *Stack) environment(container any) (map[string]string, error) {
	list, _ := cfn.Get(container, "Environment").([]any)
	env := make(map[string]string, len(list))
	for _, e := range list {
		value, err := s.values.String(cfn.Get(e, "Value"))
		if err != nil {
			return nil, fmt.Errorf("environment: %w", err)
		}
		env[cfn.Text(cfn.Get(e, "Name"))] = value
	}
	return env, nil
}
