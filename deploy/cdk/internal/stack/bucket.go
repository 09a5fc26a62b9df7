package stack

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
)

// bucket keeps bodies that are too large to travel, under answers/, params/ and
// batches/.
type bucket = awss3.Bucket

// addBucket leaves the name to CloudFormation: all accounts share one set of
// names. What is in it expires by itself, so it outlives the stack.
func (p *parts) addBucket() {
	p.bucket = awss3.NewBucket(p.stack, jsii.String("Bodies"), &awss3.BucketProps{
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			Id:                                  jsii.String("expire"),
			Expiration:                          awscdk.Duration_Days(jsii.Number(p.knobs.BlobDays)),
			AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1)),
		}},
	})
}

// blobs is the bucket as the programs name it, with how long it keeps a body.
func (p *parts) blobs() (store, expiry string) {
	return "s3://" + *p.bucket.BucketName(), fmt.Sprintf("%dh", 24*p.knobs.BlobDays)
}

// What a key begins with, by what the body is of.
const (
	answers = "answers/*"
	params  = "params/*"
	batches = "batches/*"
)

func (p *parts) bodies(keys string) []*string { return arns(p.bucket.ArnForObjects(jsii.String(keys))) }

// The actions on bodies. Without s3:ListBucket S3 says of one that has expired
// that it is denied.
var (
	keep  = []string{"s3:PutObject", "s3:AbortMultipartUpload"}
	fetch = []string{"s3:GetObject"}
	found = []string{"s3:ListBucket"}
)

// bodyGrants are what a program needs that makes calls.
func (p *parts) bodyGrants() []grant {
	return []grant{
		{"keep answers that are too large to travel", keep, p.bodies(answers)},
		{"fetch what params refer to: params, and answers of other calls", fetch, append(p.bodies(answers), p.bodies(params)...)},
		{"tell what has expired", found, arns(p.bucket.BucketArn())},
	}
}
