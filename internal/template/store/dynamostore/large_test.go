package dynamostore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"callfleet/internal/awstest"
	"callfleet/internal/template/store"
	"callfleet/internal/template/version"
)

// A template that others have put, with no room for what a version adds, is not
// replaced or removed without a version: whoever tries is told why, and what to do.
func TestFoundTemplateHasNoRoomForItsVersion(t *testing.T) {
	t.Parallel()
	s, table := open(t, awstest.Moto(t).Config())
	k := version.New(s, version.Options{By: "ann"})
	key := store.Key{Name: "a", Method: "GET"}
	small := store.Item{Key: key, Attributes: json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"small"}}`)}
	if _, err := k.Put(t.Context(), small, version.Change{}); err != nil {
		t.Fatal(err)
	}
	// The emulator's limit is 405,000 bytes, and not 409,600 as that of AWS.
	large := strings.Repeat("x", 405_000-len("PKaSKGETurl"))
	putRaw(t, table, map[string]types.AttributeValue{"PK": text("a"), "SK": text("GET"), "url": text(large)})

	_, put := k.Put(t.Context(), store.Item{Key: key, Attributes: json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"other"}}`)}, version.Change{})
	_, rollback := k.Rollback(t.Context(), key, 1, "")
	_, removed := k.Remove(t.Context(), key)
	for what, err := range map[string]error{"put": put, "roll back": rollback, "remove": removed} {
		if !errors.Is(err, store.ErrInvalid) {
			t.Fatalf("%s: got %v", what, err)
		}
		for _, want := range []string{`template "a GET" was changed by other means`, "version 2", "bytes, and an item of DynamoDB at most 409600: ", "producer template get", "producer template rm --purge"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", what, err, want)
			}
		}
	}
	it, err := s.Get(t.Context(), key)
	versions, listErr := s.Versions(t.Context(), key)
	if err != nil || listErr != nil || !strings.Contains(string(it.Attributes), large) || len(versions) != 1 {
		t.Errorf("there are %d bytes and %d versions, %v, %v", len(it.Attributes), len(versions), err, listErr)
	}

	// Smaller by other means, it is a version like any other.
	putRaw(t, table, map[string]types.AttributeValue{"PK": text("a"), "SK": text("GET"), "url": text(large[:len(large)-2000])})
	if got, err := k.Rollback(t.Context(), key, 1, ""); err != nil || !reflect.DeepEqual(got, version.Result{Version: 3, Made: true, Found: 2}) {
		t.Errorf("got %+v, %v", got, err)
	}
	putRaw(t, table, map[string]types.AttributeValue{"PK": text("a"), "SK": text("GET"), "url": text(large)})
	if n, err := k.Purge(t.Context(), key); err != nil || n != 3 {
		t.Errorf("purged %d versions, %v", n, err)
	}
}

// A template that fits, and its version does not, is refused, and nothing is
// stored.
func TestTemplateHasNoRoomForItsVersion(t *testing.T) {
	t.Parallel()
	s, _ := open(t, awstest.Moto(t).Config())
	k := version.New(s, version.Options{By: "ann"})
	key := store.Key{Name: "a", Method: "GET"}
	it := store.Item{Key: key, Attributes: fmt.Appendf(nil, `{"PK":{"S":"a"},"SK":{"S":"GET"},"url":{"S":"%s"}}`, strings.Repeat("x", 400<<10-100))}
	_, err := k.Put(t.Context(), it, version.Change{Message: "large"})
	if !errors.Is(err, store.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{`keep template "a GET" as version 1`, "bytes, and an item of DynamoDB at most 409600: make the template smaller"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	_, err = s.Get(t.Context(), key)
	versions, listErr := s.Versions(t.Context(), key)
	if !errors.Is(err, store.ErrNotFound) || listErr != nil || len(versions) != 0 {
		t.Errorf("got %v, and %d versions, %v", err, len(versions), listErr)
	}
}
