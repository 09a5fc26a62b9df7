package asl

import "testing"

func TestParseResource(t *testing.T) {
	t.Parallel()
	cases := []struct {
		arn  string
		want Resource
		ok   bool
	}{
		{arn: "arn:aws:lambda:us-east-1:123456789012:function:f", ok: true, want: Resource{Integration: LambdaARN, Shown: "arn:aws:lambda:us-east-1:123456789012:function:f"}},
		{arn: "arn:aws:states:us-east-1:123456789012:activity:a", ok: true, want: Resource{Integration: Activity, Shown: "arn:aws:states:us-east-1:123456789012:activity:a"}},
		{arn: "arn:aws:states:::sqs:sendMessage", ok: true, want: Resource{Integration: Service, Service: "sqs", Operation: "sendMessage", Shown: "sendMessage", ShownType: "sqs"}},
		{arn: "arn:aws:states:::sqs:sendMessage.waitForTaskToken", ok: true, want: Resource{Integration: Service, Service: "sqs", Operation: "sendMessage", Pattern: WaitForTaskToken, Shown: "sendMessage.waitForTaskToken", ShownType: "sqs"}},
		{arn: "arn:aws:states:::states:startExecution.sync", ok: true, want: Resource{Integration: Service, Service: "states", Operation: "startExecution", Pattern: Sync, Shown: "startExecution.sync", ShownType: "states"}},
		{arn: "arn:aws:states:::states:startExecution.sync:2", ok: true, want: Resource{Integration: Service, Service: "states", Operation: "startExecution", Pattern: Sync2, Shown: "startExecution.sync:2", ShownType: "states"}},
		{arn: "arn:aws:states:::aws-sdk:dynamodb:getItem", ok: true, want: Resource{Integration: SDK, Service: "dynamodb", Operation: "getItem", Shown: "getItem", ShownType: "aws-sdk:dynamodb"}},
		{arn: "arn:aws-cn:states:::dynamodb:getItem", ok: true, want: Resource{Integration: Service, Service: "dynamodb", Operation: "getItem", Shown: "getItem", ShownType: "dynamodb"}},
		{arn: "arn:aws:states:::sqs:sendMessage.later"},
		{arn: "arn:aws:states:::sqs:"},
		{arn: "arn:aws:states:::sqs"},
		{arn: "arn:aws:lambda:us-east-1:123456789012:function:"},
		{arn: "arn:aws:s3:::bucket"},
		{arn: "sqs:sendMessage"},
		{arn: ""},
	}
	for _, c := range cases {
		t.Run(c.arn, func(t *testing.T) {
			t.Parallel()
			got, ok := ParseResource(c.arn)
			if ok != c.ok {
				t.Fatalf("ok is %v", ok)
			}
			c.want.ARN = c.arn
			if ok && got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}
