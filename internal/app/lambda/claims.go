package lambda

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"callfleet/internal/awsbody"
	"callfleet/internal/blob/s3blob"
	"callfleet/internal/claim"
	"callfleet/internal/config"
	"callfleet/internal/httpcall"
)

// openClaims is the claim check of large bodies, and the client of its bucket.
// Without a bucket it refuses them, and nothing of AWS is loaded.
func openClaims(ctx context.Context, c config.Claims) (*claim.Checker, *http.Client, error) {
	checker := claim.New(claim.Options{MaxBlob: int64(c.BlobLimit)})
	client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	if c.Blobs.IsZero() {
		return checker, client, nil
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithHTTPClient(client))
	if err == nil && cfg.Region == "" {
		err = errors.New("no region is set: AWS Lambda sets AWS_REGION")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("open blobs (CALLFLEET_BLOBS): load AWS configuration: %w", err)
	}
	cfg.APIOptions = append(cfg.APIOptions, awsbody.Safe)
	bucket, prefix := s3blob.Place(c.Blobs.Secret())
	store, err := s3blob.New(cfg, s3blob.Options{Bucket: bucket, Prefix: prefix})
	if err != nil {
		return nil, nil, fmt.Errorf("open blobs (CALLFLEET_BLOBS): %w", err)
	}
	checker.Bind(store)
	return checker, client, nil
}

// connections are those to APIs and to AWS: a freeze makes all of them stale.
type connections struct {
	*httpcall.Client
	aws *http.Client
}

// Close closes the idle ones.
func (c *connections) Close() {
	c.Client.Close()
	c.aws.CloseIdleConnections()
}
