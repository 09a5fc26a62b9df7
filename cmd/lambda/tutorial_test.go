package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"callfleet/internal/awstest"
	"callfleet/internal/function"
	"callfleet/statemachine"
)

// The tutorial's definition, unchanged, on a Step Functions interpreter that is
// not ours, with DynamoDB beside it and this program as its function.
func TestTutorialOnMoto(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, _ := start(t, "CALLFLEET_HTTP_TIMEOUT=1s")
	emulator, stop, err := awstest.Start(ctx, awstest.KindMoto, awstest.WithLambda(r.URL()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	url := api(t)
	putTemplates(t, emulator.Config(), map[string]string{"status": url + "/{{ code }}", "slow": url + "/slow", "dead": "http://127.0.0.1:1/"})
	steps := sfn.NewFromConfig(emulator.Config())
	machine, err := steps.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: aws.String("tutorial"), Definition: aws.String(statemachine.Tutorial), RoleArn: aws.String("arn:aws:iam::123456789012:role/any"),
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]struct {
		template, code string
		status         types.ExecutionStatus
		error, cause   string
	}{
		"ok":      {"status", "200", types.ExecutionStatusSucceeded, "", ""},
		"missing": {"status", "404", types.ExecutionStatusFailed, "", "API call failed"},
		// AWS and our engine call it States.NoChoiceMatched.
		"created": {"status", "201", types.ExecutionStatusFailed, "States.Runtime", "No branching option reached"},
		"late":    {"slow", "0", types.ExecutionStatusFailed, "Callfleet.Timeout", "no whole answer within 1s"},
		"refused": {"dead", "0", types.ExecutionStatusFailed, "Callfleet.ConnectionFailed", "connect"},
	}
	started := map[string]*string{}
	for name, row := range rows {
		out, err := steps.StartExecution(ctx, &sfn.StartExecutionInput{
			StateMachineArn: machine.StateMachineArn, Name: &name,
			Input: aws.String(fmt.Sprintf(`{"templateName":%q,"method":"GET","params":{"code":%q}}`, row.template, row.code)),
		})
		if err != nil {
			t.Fatal(err)
		}
		started[name] = out.ExecutionArn
	}
	for name, row := range rows {
		got := await(ctx, t, steps, started[name])
		if got.Status != row.status || aws.ToString(got.Error) != row.error || !strings.Contains(aws.ToString(got.Cause), row.cause) {
			t.Errorf("%s ended as %s, %q, %q; want %s, %q, %q", name, got.Status, aws.ToString(got.Error), aws.ToString(got.Cause), row.status, row.error, row.cause)
		}
		if name == "ok" {
			checkOutput(t, aws.ToString(got.Output))
		}
	}
}

// checkOutput wants the function's answer in the output of an execution.
func checkOutput(t *testing.T, output string) {
	t.Helper()
	var got struct {
		APIResponse struct {
			StatusCode, Attempts int
			Body                 string
		}
	}
	if err := json.Unmarshal([]byte(output), &got); err != nil {
		t.Fatal(err)
	}
	if a := got.APIResponse; a.StatusCode != 200 || a.Attempts != 1 || !strings.HasPrefix(a.Body, "key ") {
		t.Errorf("output %s", output)
	}
}

// await asks until the execution has ended.
func await(ctx context.Context, t *testing.T, steps *sfn.Client, arn *string) *sfn.DescribeExecutionOutput {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := steps.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: arn})
		if err != nil {
			t.Fatal(err)
		}
		if out.Status != types.ExecutionStatusRunning {
			return out
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s still runs: %v", aws.ToString(arn), ctx.Err())
		}
	}
}

// putTemplates makes the tutorial's table with a GET template for each URL,
// which is tried once.
func putTemplates(t *testing.T, cfg aws.Config, urls map[string]string) {
	t.Helper()
	table := aws.String("API_Template_Table")
	client := dynamodb.NewFromConfig(cfg)
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: table, BillingMode: dynamodbtypes.BillingModePayPerRequest,
		KeySchema: []dynamodbtypes.KeySchemaElement{
			{AttributeName: aws.String("PK"), KeyType: dynamodbtypes.KeyTypeHash}, {AttributeName: aws.String("SK"), KeyType: dynamodbtypes.KeyTypeRange},
		},
		AttributeDefinitions: []dynamodbtypes.AttributeDefinition{
			{AttributeName: aws.String("PK"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
			{AttributeName: aws.String("SK"), AttributeType: dynamodbtypes.ScalarAttributeTypeS},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) dynamodbtypes.AttributeValue { return &dynamodbtypes.AttributeValueMemberS{Value: s} }
	once := &dynamodbtypes.AttributeValueMemberM{Value: map[string]dynamodbtypes.AttributeValue{
		"maxAttempts": &dynamodbtypes.AttributeValueMemberN{Value: "1"},
	}}
	for name, url := range urls {
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: map[string]dynamodbtypes.AttributeValue{
			"PK": text(name), "SK": text("GET"), "url": text(url), "retry": once,
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The definition names the function that this program is.
func TestTutorialNamesTheFunction(t *testing.T) {
	t.Parallel()
	if !strings.Contains(statemachine.Tutorial, ":function:"+function.Name+`"`) {
		t.Errorf("the tutorial calls another function than %s", function.Name)
	}
}
