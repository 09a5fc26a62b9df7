package stack

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// network is where the tasks run.
type network struct {
	vpc      awsec2.IVpc
	subnets  *awsec2.SubnetSelection
	publicIP bool
	group    awsec2.SecurityGroup // of every task: nothing comes in
}

func (p *parts) addNetwork() {
	if p.knobs.VpcID != "" {
		p.useNetwork()
	} else {
		p.newNetwork()
	}
	p.network.publicIP = p.knobs.PublicSubnets
	p.network.group = awsec2.NewSecurityGroup(p.stack, jsii.String("TasksGroup"), &awsec2.SecurityGroupProps{
		Vpc:              p.network.vpc,
		Description:      jsii.String("Callfleet tasks: nothing comes in, APIs are called on any port"),
		AllowAllOutbound: jsii.Bool(true),
	})
	if p.knobs.PrivateEndpoints {
		p.addEndpoints()
	}
}

// useNetwork takes subnets that exist, without a look-up in the account.
func (p *parts) useNetwork() {
	zones := make([]*string, len(p.knobs.SubnetIDs))
	subnets := make([]awsec2.ISubnet, len(p.knobs.SubnetIDs))
	for i, id := range p.knobs.SubnetIDs {
		// The construct wants a zone for each; nothing in the stack uses it.
		zones[i] = awscdk.Fn_Select(jsii.Number(0), awscdk.Fn_GetAzs(nil))
		subnets[i] = awsec2.Subnet_FromSubnetAttributes(p.stack, jsii.String(fmt.Sprintf("Subnet%d", i+1)), &awsec2.SubnetAttributes{
			SubnetId: jsii.String(id), AvailabilityZone: zones[i],
		})
		awscdk.Annotations_Of(subnets[i]).AcknowledgeWarning(jsii.String("@aws-cdk/aws-ec2:noSubnetRouteTableId"), jsii.String("no route is added"))
	}
	p.network.vpc = awsec2.Vpc_FromVpcAttributes(p.stack, jsii.String("Vpc"), &awsec2.VpcAttributes{
		VpcId: jsii.String(p.knobs.VpcID), AvailabilityZones: &zones,
	})
	p.network.subnets = &awsec2.SubnetSelection{Subnets: &subnets}
}

func (p *parts) newNetwork() {
	layout := []*awsec2.SubnetConfiguration{
		{Name: jsii.String("public"), SubnetType: awsec2.SubnetType_PUBLIC, CidrMask: jsii.Number(20), MapPublicIpOnLaunch: jsii.Bool(false)},
	}
	where, gateways := awsec2.SubnetType_PUBLIC, 0
	if !p.knobs.PublicSubnets {
		where, gateways = awsec2.SubnetType_PRIVATE_WITH_EGRESS, p.knobs.NatGateways
		layout = append(layout, &awsec2.SubnetConfiguration{Name: jsii.String("tasks"), SubnetType: where, CidrMask: jsii.Number(18)})
	}
	vpc := awsec2.NewVpc(p.stack, jsii.String("Vpc"), &awsec2.VpcProps{
		MaxAzs:              jsii.Number(2),
		NatGateways:         jsii.Number(gateways),
		SubnetConfiguration: &layout,
		GatewayEndpoints: &map[string]*awsec2.GatewayVpcEndpointOptions{
			"S3":       {Service: awsec2.GatewayVpcEndpointAwsService_S3()}, // image layers come from there
			"DynamoDB": {Service: awsec2.GatewayVpcEndpointAwsService_DYNAMODB()},
		},
	})
	role := awsiam.NewRole(p.stack, jsii.String("FlowLogRole"), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("vpc-flow-logs.amazonaws.com"), nil),
	})
	logs := p.newLogGroup("FlowLog", "/callfleet/"+p.knobs.Prefix+"/network")
	vpc.AddFlowLog(jsii.String("Rejected"), &awsec2.FlowLogOptions{
		Destination: awsec2.FlowLogDestination_ToCloudWatchLogs(logs, role),
		TrafficType: awsec2.FlowLogTrafficType_REJECT, // what was let through is in the traces
	})
	p.network.vpc = vpc
	p.network.subnets = &awsec2.SubnetSelection{SubnetType: where}
}

// addEndpoints keeps the traffic to AWS off the NAT gateway.
func (p *parts) addEndpoints() {
	for id, service := range map[string]awsec2.InterfaceVpcEndpointAwsService{
		"Sqs":           awsec2.InterfaceVpcEndpointAwsService_SQS(),
		"StepFunctions": awsec2.InterfaceVpcEndpointAwsService_STEP_FUNCTIONS(),
		"EcrApi":        awsec2.InterfaceVpcEndpointAwsService_ECR(),
		"EcrDocker":     awsec2.InterfaceVpcEndpointAwsService_ECR_DOCKER(),
		"Logs":          awsec2.InterfaceVpcEndpointAwsService_CLOUDWATCH_LOGS(),
	} {
		group := awsec2.NewSecurityGroup(p.stack, jsii.String(id+"EndpointGroup"), &awsec2.SecurityGroupProps{
			Vpc:              p.network.vpc,
			Description:      jsii.String("Callfleet endpoint: HTTPS from the tasks"),
			AllowAllOutbound: jsii.Bool(false),
		})
		group.AddIngressRule(p.network.group, awsec2.Port_Tcp(jsii.Number(443)), jsii.String("HTTPS from the tasks"), nil)
		awsec2.NewInterfaceVpcEndpoint(p.stack, jsii.String(id+"Endpoint"), &awsec2.InterfaceVpcEndpointProps{
			Vpc:               p.network.vpc,
			Service:           service,
			Subnets:           p.network.subnets,
			SecurityGroups:    &[]awsec2.ISecurityGroup{group},
			Open:              jsii.Bool(false),
			PrivateDnsEnabled: jsii.Bool(true),
		})
	}
}
