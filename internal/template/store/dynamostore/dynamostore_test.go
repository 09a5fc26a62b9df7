package dynamostore_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"callfleet/internal/awstest"
	"callfleet/internal/template/store"
	"callfleet/internal/template/store/dynamostore"
	"callfleet/internal/template/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a store with a table of its own.
func open(t *testing.T, cfg aws.Config) (*dynamostore.Store, string) {
	t.Helper()
	table := awstest.Name("templates")
	s, err := dynamostore.New(cfg, dynamostore.Options{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	if made, err := s.Create(t.Context()); err != nil || !made {
		t.Fatalf("create: made %v, %v", made, err)
	}
	return s, table
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		s, _ := open(t, awstest.Moto(t).Config())
		return s
	})
}
