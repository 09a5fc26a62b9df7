package backend

import (
	"slices"
	"testing"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Every client of AWS is made of this configuration.
func TestClientsOfAWSKeepTheirAnswers(t *testing.T) {
	t.Parallel()
	cfg, err := LoadAWS(t.Context(), awsconfig.WithRegion("us-east-1"))
	if err != nil {
		t.Fatal(err)
	}
	stack := middleware.NewStack("an operation", smithyhttp.NewStackRequest)
	for _, option := range cfg.APIOptions {
		if err := option(stack); err != nil {
			t.Fatal(err)
		}
	}
	if names := stack.Finalize.List(); !slices.Contains(names, "CallfleetSafeBody") {
		t.Errorf("its requests pass %v: package awsbody is missing", names)
	}
}
