package stack

import (
	"regexp"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecrassets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"
)

var ecrForm = regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/([^:@]+)[:@](.+)$`)

// image is a program's image: built from the repository by "cdk deploy", from
// ECR, whose permissions come with it, or from any other registry.
func (p *parts) image(g program) awsecs.ContainerImage {
	if g.image == "" {
		platform := awsecrassets.Platform_LINUX_AMD64()
		if p.isARM() {
			platform = awsecrassets.Platform_LINUX_ARM64()
		}
		return awsecs.ContainerImage_FromAsset(jsii.String(p.root), &awsecs.AssetImageProps{
			Target:   jsii.String(g.target),
			Platform: platform,
		})
	}
	m := ecrForm.FindStringSubmatch(g.image)
	if m == nil {
		return awsecs.ContainerImage_FromRegistry(jsii.String(g.image), nil)
	}
	account, region, name, tag := m[1], m[2], m[3], m[4]
	repository := awsecr.Repository_FromRepositoryAttributes(p.stack, jsii.String(g.id+"Repository"), &awsecr.RepositoryAttributes{
		RepositoryArn:  jsii.String("arn:" + *p.stack.Partition() + ":ecr:" + region + ":" + account + ":repository/" + name),
		RepositoryName: jsii.String(name),
	})
	return awsecs.ContainerImage_FromEcrRepository(repository, jsii.String(tag))
}
