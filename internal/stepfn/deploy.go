package stepfn

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// Deploy makes the state machine of that name have this definition, and
// returns its ARN: it creates it, updates it, or finds it as it should be.
func (c *Client) Deploy(ctx context.Context, name string, definition []byte) (arn string, err error) {
	text := string(definition)
	// Creation is idempotent: the same again is answered with the ARN.
	created, err := c.api.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: &name, Definition: &text, RoleArn: &c.role, Type: types.StateMachineTypeStandard,
	})
	if err == nil {
		return aws.ToString(created.StateMachineArn), nil
	}
	var exists *types.StateMachineAlreadyExists
	if !errors.As(err, &exists) {
		return "", c.translate(err, "create state machine "+name)
	}
	arn, err = c.find(ctx, name)
	if err != nil {
		return "", err
	}
	_, err = c.api.UpdateStateMachine(ctx, &sfn.UpdateStateMachineInput{StateMachineArn: &arn, Definition: &text, RoleArn: &c.role})
	if err != nil {
		return "", c.translate(err, "update state machine "+name)
	}
	return arn, nil
}

// find returns the ARN of the state machine of that name.
func (c *Client) find(ctx context.Context, name string) (string, error) {
	pages := sfn.NewListStateMachinesPaginator(c.api, &sfn.ListStateMachinesInput{MaxResults: 1000})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", c.translate(err, "list state machines")
		}
		for _, m := range page.StateMachines {
			if aws.ToString(m.Name) == name {
				return aws.ToString(m.StateMachineArn), nil
			}
		}
	}
	return "", fmt.Errorf("find state machine %s: %w", name, ErrNotFound)
}
