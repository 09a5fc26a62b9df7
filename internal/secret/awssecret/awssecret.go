// Package awssecret is the source of secrets in AWS Secrets Manager and in
// Systems Manager Parameter Store.
package awssecret

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"callfleet/internal/secret"
)

// Manager is the source of secrets in Secrets Manager, by name or ARN, always
// in their current version.
func Manager(cfg aws.Config) secret.Source {
	client := secretsmanager.NewFromConfig(cfg)
	return secret.SourceFunc(func(ctx context.Context, name string) (string, error) {
		out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
		if err != nil {
			return "", translate("secretsmanager:GetSecretValue", err)
		}
		if text := aws.ToString(out.SecretString); text != "" {
			return text, nil
		}
		if len(out.SecretBinary) > 0 {
			return string(out.SecretBinary), nil
		}
		return "", fmt.Errorf("%w: the secret is empty", secret.ErrMissing)
	})
}

// Parameters is the source of parameters in the Parameter Store. A name with a
// slash in it is a path from the root.
func Parameters(cfg aws.Config) secret.Source {
	client := ssm.NewFromConfig(cfg)
	return secret.SourceFunc(func(ctx context.Context, name string) (string, error) {
		if strings.Contains(name, "/") && name[0] != '/' {
			name = "/" + name
		}
		out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
		if err != nil {
			return "", translate("ssm:GetParameter", err)
		}
		if out.Parameter == nil || aws.ToString(out.Parameter.Value) == "" {
			return "", fmt.Errorf("%w: the parameter is empty", secret.ErrMissing)
		}
		return *out.Parameter.Value, nil
	})
}

// translate names what AWS answered by its code alone: its message may quote
// what was sent.
func translate(action string, err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("%s got no answer from AWS", action)
	}
	switch code := api.ErrorCode(); code {
	case "ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound":
		return fmt.Errorf("%w (%s: %s)", secret.ErrMissing, action, code)
	case "AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidSignatureException", "DecryptionFailure",
		"ValidationException", "InvalidParameterException", "InvalidRequestException", "InvalidKeyId":
		return fmt.Errorf("%w (%s: %s): the worker's role needs %[2]s on it, and kms:Decrypt on its key", secret.ErrDenied, action, code)
	default:
		return fmt.Errorf("%s: %s", action, code)
	}
}
