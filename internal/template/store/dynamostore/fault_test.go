package dynamostore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/awstest"
	"callfleet/internal/template/store"
	"callfleet/internal/template/store/dynamostore"
)

// behind opens a store behind a proxy, few attempts of which are made.
func behind(t *testing.T) (*dynamostore.Store, *awstest.Proxy, string) {
	t.Helper()
	p := awstest.FaultProxy(t, awstest.Moto(t).URL)
	cfg := p.Config()
	cfg.RetryMaxAttempts = 3
	s, table := open(t, cfg)
	return s, p, table
}

func template(name, url string) store.Item {
	return store.Item{
		Key:        store.Key{Name: name, Method: "GET"},
		Attributes: json.RawMessage(fmt.Sprintf(`{"PK":{"S":%q},"SK":{"S":"GET"},"url":{"S":%q}}`, name, url)),
	}
}

// every is each operation of a store once; c is for the writes.
func every(s *dynamostore.Store, c store.Condition) map[string]func(context.Context) error {
	it := template("a", "https://example.com")
	return map[string]func(context.Context) error{
		"GetItem":       func(ctx context.Context) error { _, err := s.Get(ctx, it.Key); return err },
		"PutItem":       func(ctx context.Context) error { _, err := s.Put(ctx, it, c); return err },
		"DeleteItem":    func(ctx context.Context) error { return s.Delete(ctx, store.Key{Name: "other", Method: "GET"}, c) },
		"Scan":          func(ctx context.Context) error { _, err := s.List(ctx, store.Key{}, 10); return err },
		"DescribeTable": s.Check,
		"CreateTable":   func(ctx context.Context) error { _, err := s.Create(ctx); return err },
	}
}

// What passes after an attempt or two is not seen.
func TestBurstsAreWaitedOut(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{
		"500": awstest.Status(http.StatusInternalServerError), "503": awstest.Status(http.StatusServiceUnavailable),
		"throttled": awstest.Throttled, "down": awstest.Down, "lost": awstest.Lost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, _ := behind(t)
			if _, err := s.Put(t.Context(), template("a", "u"), store.IfAbsent()); err != nil {
				t.Fatal(err)
			}
			for op, do := range every(s, store.Always()) {
				p.Times(2, fault, op)
				if err := do(t.Context()); err != nil {
					t.Errorf("%s: %v", op, err)
				}
			}
		})
	}
}

// What does not pass is an error that names the table and what to do, and leaves
// the store as it was when it is over.
func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fault awstest.Fault
		want  string
	}{
		"throttled": {awstest.Throttled, "%s is throttled: try again later, or give it more capacity: "},
		"expired":   {awstest.Expired, "AWS does not take the credentials for %s: renew them: "},
		"denied":    {awstest.Denied, "no permission for %s: give the program's role what deploy/cdk does: "},
		"500":       {awstest.Status(http.StatusInternalServerError), "%s: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, table := behind(t)
			rev, err := s.Put(t.Context(), template("a", "u"), store.IfAbsent())
			if err != nil {
				t.Fatal(err)
			}
			p.Set(row.fault)
			want := fmt.Sprintf(row.want, "table "+table+" in us-east-1")
			for op, do := range every(s, store.Always()) {
				if err := do(t.Context()); err == nil || !strings.Contains(err.Error(), ": "+want) {
					t.Errorf("%s: got %v, want %q in it", op, err, want)
				}
			}
			p.Clear()
			if it, err := s.Get(t.Context(), template("a", "").Key); err != nil || it.Revision != rev {
				t.Errorf("after it: got %v, %v, want revision %s", it, err, rev)
			}
		})
	}
}

func TestMissingTable(t *testing.T) {
	t.Parallel()
	s, err := dynamostore.New(awstest.Moto(t).Config(), dynamostore.Options{Table: "Not_There"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `there is no table Not_There in us-east-1: make it with "producer setup" or deploy/cdk`
	for op, do := range every(s, store.IfAbsent()) {
		if op == "CreateTable" {
			continue
		}
		if err := do(t.Context()); err == nil || !strings.HasSuffix(err.Error(), want) || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %v", op, err)
		}
	}
}

func TestTableWithOtherKeys(t *testing.T) {
	t.Parallel()
	cfg := awstest.Moto(t).Config()
	table := awstest.Name("templates")
	_, err := dynamodb.NewFromConfig(cfg).CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: &table, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeN}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := dynamostore.New(cfg, dynamostore.Options{Table: table})
	if err != nil {
		t.Fatal(err)
	}
	want := "table " + table + ` in us-east-1 has the keys HASH id (N) instead of HASH PK (S) RANGE SK (S): name another table, or make one with "producer setup" or deploy/cdk`
	for op, do := range every(s, store.Always()) {
		if op == "Scan" { // finds nothing
			continue
		}
		if err := do(t.Context()); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v", op, err)
		}
	}
}

func TestTableThatIsNotReady(t *testing.T) {
	t.Parallel()
	s, p, table := behind(t)
	p.Set(func(x *awstest.Exchange) {
		_, _ = fmt.Fprintf(x.Writer, `{"Table":{"TableName":%q,"TableStatus":"CREATING","KeySchema":[{"AttributeName":"PK","KeyType":"HASH"},
			{"AttributeName":"SK","KeyType":"RANGE"}],"AttributeDefinitions":[{"AttributeName":"PK","AttributeType":"S"},{"AttributeName":"SK","AttributeType":"S"}]}}`, table)
	}, "DescribeTable")
	if err := s.Check(t.Context()); err == nil || err.Error() != "check template table: table "+table+" in us-east-1 is CREATING: wait until it is ACTIVE" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := s.Create(ctx); done <- err }()
	if err := p.Await(t.Context(), p.Seen("DescribeTable")+2, "DescribeTable"); err != nil {
		t.Fatal(err)
	}
	p.Clear() // it waits no longer
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for ever")
	}
	cancel()
}

// A write whose answer is lost is made again by the SDK, against an item that
// has changed by the first attempt; it must not be taken for another writer's.
func TestLostAnswerIsNoConflict(t *testing.T) {
	t.Parallel()
	s, p, _ := behind(t)
	it := template("a", "one")
	p.Times(1, awstest.Lost, "PutItem")
	rev, err := s.Put(t.Context(), it, store.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	p.Times(1, awstest.Lost, "PutItem")
	if rev, err = s.Put(t.Context(), template("a", "two"), store.IfRevision(rev)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), it.Key); err != nil || got.Revision != rev || !strings.Contains(string(got.Attributes), "two") {
		t.Errorf("got %v, %v", got, err)
	}
	p.Times(1, awstest.Lost, "DeleteItem")
	if err := s.Delete(t.Context(), it.Key, store.IfRevision(rev)); err != nil {
		t.Error(err)
	}
	if p.Passed("PutItem") != 4 || p.Passed("DeleteItem") != 2 {
		t.Errorf("passed %d puts and %d deletes, want 4 and 2", p.Passed("PutItem"), p.Passed("DeleteItem"))
	}
}

// Another writer who comes between the look and the write of ours wins.
func TestWriterInBetween(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][2]string{
		"changes an attribute": {"SET #n = :v", "url"}, "changes our attribute": {"SET #n = :v", "callfleetRevision"}, "removes an attribute": {"REMOVE #n", "url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, table := behind(t)
			rev, err := s.Put(t.Context(), template("a", "one"), store.Always())
			if err != nil {
				t.Fatal(err)
			}
			update := &dynamodb.UpdateItemInput{
				TableName: &table, Key: map[string]types.AttributeValue{"PK": text("a"), "SK": text("GET")},
				UpdateExpression: aws.String(values[0]), ExpressionAttributeNames: map[string]string{"#n": values[1]},
			}
			if strings.Contains(values[0], ":v") {
				update.ExpressionAttributeValues = map[string]types.AttributeValue{":v": text("theirs")}
			}
			theirs := func(x *awstest.Exchange) {
				if _, err := dynamodb.NewFromConfig(awstest.Moto(t).Config()).UpdateItem(x.Request.Context(), update); err != nil {
					t.Error(err)
				}
				awstest.Pass(x)
			}
			p.Times(1, theirs, "PutItem")
			if _, err := s.Put(t.Context(), template("a", "two"), store.IfRevision(rev)); !errors.Is(err, store.ErrConflict) {
				t.Errorf("put: got %v", err)
			}
			it, err := s.Get(t.Context(), template("a", "").Key)
			if err != nil || it.Revision == rev || strings.Contains(string(it.Attributes), "two") {
				t.Errorf("got %v, %v", it, err)
			}
			p.Times(1, func(x *awstest.Exchange) {
				update.UpdateExpression, update.ExpressionAttributeNames["#n"] = aws.String("SET #n = :v"), "callfleetRevision"
				update.ExpressionAttributeValues = map[string]types.AttributeValue{":v": text("theirs again")}
				theirs(x)
			}, "DeleteItem")
			if err := s.Delete(t.Context(), it.Key, store.IfRevision(it.Revision)); !errors.Is(err, store.ErrConflict) {
				t.Errorf("delete: got %v", err)
			}
		})
	}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
