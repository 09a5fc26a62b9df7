package awssecret

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"callfleet/internal/awstest"
	"callfleet/internal/secret"
	"callfleet/internal/secret/secrettest"
)

func resolver(t *testing.T, cfg aws.Config) *secret.Resolver {
	t.Helper()
	r, err := secret.NewResolver(secret.Options{
		Sources: map[string]secret.Source{secret.SecretsManager: Manager(cfg), secret.SSM: Parameters(cfg)},
		Allow:   []string{"secretsmanager/*", "ssm/*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestSecretsManager(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	first, second, bytes := secrettest.Value(t, "first"), secrettest.Value(t, "second"), secrettest.Value(t, "binary")
	name := "callfleet/" + awstest.Name("secret")
	out, err := secretsmanager.NewFromConfig(cfg).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: &name, SecretString: aws.String(`{"key":"` + first + `","other":2}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	binary := name + "-binary"
	if _, err := secretsmanager.NewFromConfig(cfg).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &binary, SecretBinary: []byte(bytes)}); err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]string{
		name + "#key": first, name + "#other": "2", *out.ARN + "#key": first, name: `{"key":"` + first + `","other":2}`, binary: bytes,
	} {
		if v, err := resolver(t, cfg).Get(t.Context(), "secret://secretsmanager/"+reference); err != nil || v.Reveal() != want {
			t.Errorf("%s: %q, %v, want %q", reference, v.Reveal(), err, want)
		}
	}
	// A rotated secret is what a resolver that has not seen it yet gets.
	if _, err := secretsmanager.NewFromConfig(cfg).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: aws.String(`{"key":"` + second + `"}`)}); err != nil {
		t.Fatal(err)
	}
	if v, err := resolver(t, cfg).Get(t.Context(), "secret://secretsmanager/"+name+"#key"); err != nil || v.Reveal() != second {
		t.Errorf("after rotation: %q, %v", v.Reveal(), err)
	}
	lasting(t, resolver(t, cfg), "secret://secretsmanager/callfleet/none")
}

func TestParameters(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	path := "/callfleet/" + awstest.Name("secret")
	flat := awstest.Name("secret")
	inPath, alone := secrettest.Value(t, "in a path"), secrettest.Value(t, "flat")
	for name, value := range map[string]string{path: inPath, flat: alone} {
		if _, err := ssm.NewFromConfig(cfg).PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: types.ParameterTypeSecureString}); err != nil {
			t.Fatal(err)
		}
	}
	for reference, want := range map[string]string{path: inPath, strings.TrimPrefix(path, "/"): inPath, flat: alone} {
		if v, err := resolver(t, cfg).Get(t.Context(), "secret://ssm/"+reference); err != nil || v.Reveal() != want {
			t.Errorf("%s: %q, %v, want %q", reference, v.Reveal(), err, want)
		}
	}
	lasting(t, resolver(t, cfg), "secret://ssm/callfleet/none")
}

func lasting(t *testing.T, r *secret.Resolver, reference string) {
	t.Helper()
	_, err := r.Get(t.Context(), reference)
	var e *secret.Error
	if !errors.As(err, &e) || !e.Permanent {
		t.Errorf("%s: %v, want a lasting error", reference, err)
	}
}

// What passes is told from what lasts, and AWS's own words are not repeated.
func TestFaults(t *testing.T) {
	t.Parallel()
	cfg := awstest.Emulator{URL: "http://127.0.0.1:1"}.Config()
	cfg.RetryMaxAttempts = 1
	for _, source := range []secret.Source{Manager(cfg), Parameters(cfg)} {
		_, err := source.Fetch(context.Background(), "name")
		if err == nil || errors.Is(err, secret.ErrMissing) || errors.Is(err, secret.ErrDenied) || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("error %v, want one that may pass", err)
		}
	}
}
