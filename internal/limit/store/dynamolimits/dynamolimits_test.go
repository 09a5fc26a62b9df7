package dynamolimits_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"callfleet/internal/awstest"
	"callfleet/internal/limit/store"
	"callfleet/internal/limit/store/dynamolimits"
	"callfleet/internal/limit/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	storetest.Run(t, func(t *testing.T) store.Store {
		s, err := dynamolimits.New(cfg, dynamolimits.Options{Table: awstest.Name("flows")})
		if err != nil {
			t.Fatal(err)
		}
		if made, err := s.Create(t.Context()); err != nil || !made {
			t.Fatalf("create: made %t, %v", made, err)
		}
		if made, err := s.Create(t.Context()); err != nil || made {
			t.Fatalf("create again: made %t, %v", made, err)
		}
		return s
	})
}

func TestNoTable(t *testing.T) {
	t.Parallel()
	s, err := dynamolimits.New(awstest.Moto(t).Config(), dynamolimits.Options{Table: awstest.Name("missing")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.List(t.Context()); !errors.Is(err, dynamolimits.ErrNoTable) || !strings.Contains(err.Error(), "producer setup") {
		t.Errorf("error = %v, want what to do", err)
	}
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	if _, err := dynamolimits.New(aws.Config{Region: "us-east-1"}, dynamolimits.Options{}); err == nil {
		t.Error("no error without a table")
	}
	if _, err := dynamolimits.New(aws.Config{}, dynamolimits.Options{Table: "flows"}); err == nil {
		t.Error("no error without a region")
	}
}
