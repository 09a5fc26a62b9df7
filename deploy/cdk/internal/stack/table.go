package stack

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/jsii-runtime-go"
)

// table holds the templates: partition key the name, sort key the HTTP method.
type table = awsdynamodb.Table

func (p *parts) addTable() {
	removal := awscdk.RemovalPolicy_DESTROY
	if p.knobs.KeepTable {
		removal = awscdk.RemovalPolicy_RETAIN
	}
	p.table = awsdynamodb.NewTable(p.stack, jsii.String("Templates"), &awsdynamodb.TableProps{
		TableName:          jsii.String(p.knobs.Table),
		PartitionKey:       &awsdynamodb.Attribute{Name: jsii.String("PK"), Type: awsdynamodb.AttributeType_STRING},
		SortKey:            &awsdynamodb.Attribute{Name: jsii.String("SK"), Type: awsdynamodb.AttributeType_STRING},
		BillingMode:        awsdynamodb.BillingMode_PAY_PER_REQUEST,
		Encryption:         awsdynamodb.TableEncryption_AWS_MANAGED,
		DeletionProtection: jsii.Bool(p.knobs.KeepTable),
		RemovalPolicy:      removal,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
	})
}

// addFlows makes the table of the flow keys: what the workers share of limits.
// Its policies are few and set by hand, the rest is of the moment.
func (p *parts) addFlows() {
	removal := awscdk.RemovalPolicy_DESTROY
	if p.knobs.KeepTable {
		removal = awscdk.RemovalPolicy_RETAIN
	}
	p.flows = awsdynamodb.NewTable(p.stack, jsii.String("Flows"), &awsdynamodb.TableProps{
		TableName:          jsii.String(p.knobs.Table + "-flows"),
		PartitionKey:       &awsdynamodb.Attribute{Name: jsii.String("PK"), Type: awsdynamodb.AttributeType_STRING},
		BillingMode:        awsdynamodb.BillingMode_PAY_PER_REQUEST,
		Encryption:         awsdynamodb.TableEncryption_AWS_MANAGED,
		DeletionProtection: jsii.Bool(p.knobs.KeepTable),
		RemovalPolicy:      removal,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
	})
}
