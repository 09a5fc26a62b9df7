package dynamostore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
	"go.uber.org/goleak"

	"callfleet/internal/awstest"
	"callfleet/internal/call"
	"callfleet/internal/template/store"
	"callfleet/internal/template/store/dynamostore"
	"callfleet/internal/template/store/storetest"
	"callfleet/internal/template/version"
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
		s, _ := open(t, suiteConfig(t))
		return s
	})
}

// breakage names a fault of the store that TestStore runs the suite on, in the
// processes that TestSuiteFindsFaults starts.
const breakage = "CALLFLEET_DYNAMOSTORE_BREAKAGE"

// breakages are ways to be wrong, each with cases of the suite that find it.
func breakages() map[string]struct {
	change func(input any)
	cases  []string
} {
	return map[string]struct {
		change func(input any)
		cases  []string
	}{
		"writes without conditions": {func(input any) {
			if put, ok := input.(*dynamodb.PutItemInput); ok {
				put.ConditionExpression, put.ExpressionAttributeNames, put.ExpressionAttributeValues = nil, nil, nil
			}
		}, []string{"put_if_absent", "one_of_many_writers_wins"}},
		"writes without our revision": {func(input any) {
			if put, ok := input.(*dynamodb.PutItemInput); ok {
				put.Item = maps.Clone(put.Item)
				delete(put.Item, "callfleetRevision")
			}
		}, []string{"get_what_was_put"}},
		"reads a part": {func(input any) {
			if get, ok := input.(*dynamodb.GetItemInput); ok {
				get.ProjectionExpression = aws.String("PK, SK, callfleetRevision")
			}
		}, []string{"get_what_was_put", "put_replaces_the_whole_item"}},
		"lists a part": {func(input any) {
			if scan, ok := input.(*dynamodb.ScanInput); ok {
				scan.FilterExpression = aws.String("attribute_not_exists(headers)")
			}
		}, []string{"list_in_key_order", "list_in_pages"}},
		"queries a part": {func(input any) {
			if query, ok := input.(*dynamodb.QueryInput); ok {
				query.FilterExpression = aws.String("attribute_not_exists(headers)")
			}
		}, []string{"versions_in_order", "a_change_makes_a_version"}},
		"deletes another": {func(input any) {
			if del, ok := input.(*dynamodb.DeleteItemInput); ok {
				del.Key = maps.Clone(del.Key)
				del.Key["SK"] = &types.AttributeValueMemberS{Value: "POST"}
			}
		}, []string{"delete"}},
	}
}

// suiteConfig is an emulator's, or of a process that is to fail.
func suiteConfig(t *testing.T) aws.Config {
	t.Helper()
	what := os.Getenv(breakage)
	if what == "" {
		return awstest.Moto(t).Config()
	}
	change := breakages()[what].change
	cfg := awstest.Emulator{URL: os.Getenv("AWS_ENDPOINT_URL")}.Config()
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("breakage",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				change(in.Parameters)
				return next.HandleInitialize(ctx, in)
			}), middleware.Before)
	})
	return cfg
}

// The suite fails over a store that is broken on purpose, in the cases that are
// about it.
func TestSuiteFindsFaults(t *testing.T) {
	t.Parallel()
	for what, b := range breakages() {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStore$", "-test.v")
			cmd.Env = append(append(os.Environ(), awstest.Moto(t).Env()...), breakage+"="+what)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("the suite has not failed: %v", err)
			}
			for _, name := range b.cases {
				if !strings.Contains(string(out), "--- FAIL: TestStore/"+name+" ") {
					t.Errorf("case %q does not find it:\n%s", name, out)
				}
			}
		})
	}
}

func rawClient(t *testing.T) *dynamodb.Client {
	t.Helper()
	return dynamodb.NewFromConfig(awstest.Moto(t).Config())
}

// putRaw writes an item as others do.
func putRaw(t *testing.T, table string, item map[string]types.AttributeValue) {
	t.Helper()
	if _, err := rawClient(t).PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &table, Item: item}); err != nil {
		t.Fatal(err)
	}
}

// Items of others are read as they are, and guarded like ours.
func TestItemsOfOthers(t *testing.T) {
	t.Parallel()
	s, table := open(t, awstest.Moto(t).Config())
	theirs := map[string]types.AttributeValue{"PK": text("a"), "SK": text("GET"), "url": text("one")}
	putRaw(t, table, theirs)
	first, err := s.Get(t.Context(), store.Key{Name: "a", Method: "GET"})
	if err != nil || string(first.Attributes) != `{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"one"}}` {
		t.Fatalf("got %s, %v", first.Attributes, err)
	}
	if again, err := s.Get(t.Context(), first.Key); err != nil || again.Revision != first.Revision {
		t.Errorf("an item that nobody has changed has revisions %s and %s, %v", first.Revision, again.Revision, err)
	}
	theirs["url"] = text("two")
	putRaw(t, table, theirs)
	if _, err := s.Put(t.Context(), template("a", "ours"), store.IfRevision(first.Revision)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("put over their change: got %v", err)
	}
	second, err := s.Get(t.Context(), first.Key)
	if err != nil || second.Revision == first.Revision {
		t.Fatalf("got %+v, %v", second, err)
	}
	ours, err := s.Put(t.Context(), template("a", "ours"), store.IfRevision(second.Revision))
	if err != nil {
		t.Fatal(err)
	}
	putRaw(t, table, theirs) // without our attribute
	if err := s.Delete(t.Context(), first.Key, store.IfRevision(ours)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete over their change: got %v", err)
	}
}

// A version is what getItem finds with the key that a request pins.
func TestVersionsInTheTable(t *testing.T) {
	t.Parallel()
	s, table := open(t, awstest.Moto(t).Config())
	for _, url := range []string{"one", "two"} {
		if _, err := version.New(s, version.Options{}).Put(t.Context(), template("a", url), version.Change{Message: url}); err != nil {
			t.Fatal(err)
		}
	}
	for method, url := range map[string]string{"GET": "two", call.PinMethod("GET", 1): "one", call.PinMethod("GET", 2): "two"} {
		out, err := rawClient(t).GetItem(t.Context(), &dynamodb.GetItemInput{
			TableName: &table, Key: map[string]types.AttributeValue{"PK": text("a"), "SK": text(method)},
		})
		got, ok := out.Item["url"].(*types.AttributeValueMemberS)
		if err != nil || !ok || got.Value != url {
			t.Errorf("%s is %v, %v", method, out.Item, err)
		}
	}
}

// The table holds what was put and one attribute more, which is not shown, and
// which a put from a copy of the stored item does not keep.
func TestOurAttribute(t *testing.T) {
	t.Parallel()
	s, table := open(t, awstest.Moto(t).Config())
	it := store.Item{Key: template("a", "").Key, Attributes: []byte(`{"PK":{"S":"a"},"SK":{"S":"GET"},"n":{"N":"1.50"},"callfleetRevision":{"S":"copied"}}`)}
	rev, err := s.Put(t.Context(), it, store.Always())
	if err != nil {
		t.Fatal(err)
	}
	out, err := rawClient(t).GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &table, Key: map[string]types.AttributeValue{"PK": text("a"), "SK": text("GET")}})
	if err != nil {
		t.Fatal(err)
	}
	kept, ok := out.Item["callfleetRevision"].(*types.AttributeValueMemberS)
	if len(out.Item) != 4 || !ok || kept.Value == "copied" || kept.Value == "" {
		t.Errorf("the table holds %v", out.Item)
	}
	got, err := s.Get(t.Context(), it.Key)
	if err != nil || got.Revision != rev || string(got.Attributes) != `{"PK":{"S":"a"},"SK":{"S":"GET"},"n":{"N":"1.50"}}` {
		t.Errorf("got %s %s, %v", got.Revision, got.Attributes, err)
	}
	if again, err := s.Put(t.Context(), it, store.IfRevision(rev)); err != nil || again == rev {
		t.Errorf("the same put again: got revision %s, %v", again, err)
	}
}

// Writers that each read, add an attribute of their own and write under the
// revision lose nothing.
func TestNoLostUpdate(t *testing.T) {
	t.Parallel()
	const writers, writes = 6, 4
	s, table := open(t, awstest.Moto(t).Config())
	putRaw(t, table, map[string]types.AttributeValue{"PK": text("a"), "SK": text("GET")}) // without our attribute, to begin with
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; n < writes; {
				it, err := s.Get(t.Context(), store.Key{Name: "a", Method: "GET"})
				if err != nil {
					t.Error(err)
					return
				}
				it.Attributes = fmt.Appendf(nil, `%s,"w%d-%d":{"N":"1"}}`, bytes.TrimSuffix(it.Attributes, []byte("}")), w, n)
				_, err = s.Put(t.Context(), it, store.IfRevision(it.Revision))
				switch {
				case err == nil:
					n++
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	it, err := s.Get(t.Context(), store.Key{Name: "a", Method: "GET"})
	if n := strings.Count(string(it.Attributes), `"w`); err != nil || n != writers*writes {
		t.Errorf("%d of %d updates are there, %v", n, writers*writes, err)
	}
}

// A listing goes through all answers of a scan, which end at 1 MB.
func TestListOfALargeTable(t *testing.T) {
	t.Parallel()
	s, table := open(t, awstest.Moto(t).Config())
	const n = 30
	for i := range n {
		name := fmt.Sprintf("t%02d", i*7%n) // in another order
		putRaw(t, table, map[string]types.AttributeValue{"PK": text(name), "SK": text("GET"), "x": text(strings.Repeat("x", 100_000))})
	}
	for after, i := (store.Key{}), 0; i < n; {
		items, err := s.List(t.Context(), after, 4)
		if err != nil || len(items) != min(4, n-i) {
			t.Fatalf("got %d items, %v", len(items), err)
		}
		for _, it := range items {
			if want := fmt.Sprintf("t%02d", i); it.Name != want {
				t.Fatalf("item %d is %s, want %s", i, it.Name, want)
			}
			after, i = it.Key, i+1
		}
	}
}

// What DynamoDB can't hold is refused, and nothing is written.
func TestItemsThatDoNotFit(t *testing.T) {
	t.Parallel()
	s, _ := open(t, awstest.Moto(t).Config())
	for name, row := range map[string]struct{ name, attribute, want string }{
		"large":     {"a", `{"S":"` + strings.Repeat("x", 400<<10) + `"}`, "it has 409652 bytes, and an item of DynamoDB at most 409600: make the template smaller"},
		"empty set": {"a", `{"SS":[]}`, "An string set  may not be empty"},
		"base64":    {"a", `{"B":"?"}`, "x: illegal base64 data at input byte 0"},
		"long name": {strings.Repeat("n", 2049), `{"S":"x"}`, "a key of DynamoDB has at most 2048 bytes of name and 1024 of method"},
	} {
		it := store.Item{Key: store.Key{Name: row.name, Method: "GET"}, Attributes: fmt.Appendf(nil, `{"PK":{"S":%q},"SK":{"S":"GET"},"x":%s}`, row.name, row.attribute)}
		if _, err := s.Put(t.Context(), it, store.Always()); !errors.Is(err, store.ErrInvalid) || !strings.HasSuffix(err.Error(), row.want) {
			t.Errorf("%s: got %.300v", name, err)
		}
		if _, err := s.Get(t.Context(), it.Key); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: get: got %v", name, err)
		}
		if err := s.Delete(t.Context(), it.Key, store.Always()); err != nil {
			t.Errorf("%s: delete: %v", name, err)
		}
		if err := s.Delete(t.Context(), it.Key, store.IfRevision("x")); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: delete under a revision: got %v", name, err)
		}
	}
}

func TestCreateTwice(t *testing.T) {
	t.Parallel()
	s, _ := open(t, awstest.Moto(t).Config())
	if made, err := s.Create(t.Context()); err != nil || made {
		t.Errorf("got %v, %v", made, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNewChecksItsOptions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ table, region, want string }{
		{"a b", "us-east-1", `open template table "a b": a table's name is 3 to 255 letters, digits, dots, dashes and underscores`},
		{"ab", "us-east-1", `open template table "ab": a table's name is 3 to 255 letters, digits, dots, dashes and underscores`},
		{"", "", "open template table API_Template_Table: no AWS region: set AWS_REGION or the profile's"},
	} {
		if _, err := dynamostore.New(aws.Config{Region: row.region}, dynamostore.Options{Table: row.table}); err == nil || err.Error() != row.want {
			t.Errorf("got %v, want %s", err, row.want)
		}
	}
}
