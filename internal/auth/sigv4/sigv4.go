// Package sigv4 signs requests by AWS Signature Version 4 with the AWS SDK's
// own signer.
package sigv4

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"callfleet/internal/auth"
)

// Signer signs with the keys that a template names, or with the worker's own.
type Signer struct {
	signer *v4.Signer
	own    func(context.Context) (aws.Credentials, error)
}

var _ auth.Signer = (*Signer)(nil)

// New makes a Signer; own are the worker's credentials, nil for none.
func New(own func(context.Context) (aws.Credentials, error)) *Signer {
	return &Signer{v4.NewSigner(), own}
}

// Sign sets Authorization, X-Amz-Date and what else the signature needs. Only
// the host, the content's type and length and the headers that begin with
// X-Amz- are signed: what is between us and AWS may change others.
func (s *Signer) Sign(ctx context.Context, req *http.Request, bodySHA256 string, keys auth.AWSKeys) error {
	creds, err := s.credentials(ctx, keys)
	if err != nil {
		return err
	}
	signed, at := *req, *req.URL
	signed.URL, signed.Header = &at, http.Header{}
	for name, values := range req.Header {
		if name == "Content-Type" || len(name) > 6 && name[:6] == "X-Amz-" {
			signed.Header[name] = values
		}
	}
	var options []func(*v4.SignerOptions)
	if keys.Service == "s3" {
		signed.Header.Set("X-Amz-Content-Sha256", bodySHA256)
		options = append(options, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	}
	if err := s.signer.SignHTTP(ctx, creds, &signed, bodySHA256, keys.Service, keys.Region, time.Now(), options...); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	for name, values := range signed.Header {
		req.Header[name] = values
	}
	req.URL = signed.URL // its query is in the order that was signed
	return nil
}

func (s *Signer) credentials(ctx context.Context, keys auth.AWSKeys) (aws.Credentials, error) {
	if keys.AccessKeyID != "" {
		return aws.Credentials{
			AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey.Reveal(), SessionToken: keys.SessionToken.Reveal(),
		}, nil
	}
	if s.own == nil {
		return aws.Credentials{}, errors.New("this program has no AWS credentials of its own")
	}
	return s.own(ctx)
}
