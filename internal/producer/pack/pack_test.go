package pack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/batch"
	"callfleet/internal/blob"
	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/producer/window"
	"callfleet/internal/queue"
)

// Calls share an execution by template and method, up to a number and up to a
// size, and always the same ones.
func TestAssign(t *testing.T) {
	t.Parallel()
	large := json.RawMessage(`{"a":"` + strings.Repeat("x", maxBytes/2) + `"}`)
	var calls []Call
	for i, of := range []string{"a GET", "b GET", "a GET", "a POST", "a GET", "a GET", "b GET"} {
		template, method, _ := strings.Cut(of, " ")
		calls = append(calls, Call{Line: int64(10 + i), Request: call.Request{ID: fmt.Sprint("r-", i), Template: template, Method: method}})
	}
	for i := range 3 {
		calls = append(calls, Call{Line: int64(20 + i), Request: call.Request{Template: "c", Method: "GET", Params: large}})
	}
	p := &Packer{Run: "r", Size: 3}
	want := []string{"10", "11", "10", "13", "10", "15", "11", "20", "21", "22"}
	for i := range want {
		want[i] = "r-batch-" + want[i]
	}
	for range 3 {
		if got := p.Assign(calls); !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
	for _, id := range want {
		if err := call.ValidateID(id); err != nil {
			t.Error(err)
		}
	}
}

// A batch has one template: calls that pin versions of it are in batches of
// their own, which ask for that version.
func TestPinnedVersionsHaveBatchesOfTheirOwn(t *testing.T) {
	t.Parallel()
	files, err := fileblob.New(t.TempDir(), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	var asked []call.Request
	p := &Packer{Run: "r", Size: 10, Store: batch.New(files), Encode: func(_ context.Context, r call.Request) (m queue.Message, err error) {
		asked = append(asked, r)
		return m, nil
	}}
	var calls []Call
	for i, version := range []int{0, 3, 0, 4, 3} {
		calls = append(calls, Call{Line: int64(i + 1), Request: call.Request{ID: fmt.Sprint("r-", i+1), Template: "a", Method: "GET", Version: version}})
	}
	ids, want := p.Assign(calls), []string{"r-batch-1", "r-batch-2", "r-batch-1", "r-batch-4", "r-batch-2"}
	if !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}
	if _, err := p.Message(t.Context(), ids[1], []Call{calls[1], calls[4]}); err != nil {
		t.Fatal(err)
	}
	if r := asked[0]; r.Version != 3 {
		t.Errorf("the batch asks for version %d, its calls for 3", r.Version)
	}
}

// slow is a store that takes a while for each blob.
type slow struct{ blob.Store }

func (s slow) Get(ctx context.Context, url string) (*blob.Object, error) {
	select {
	case <-time.After(200 * time.Millisecond):
		return s.Store.Get(ctx, url)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A journal of many parts, in a store far away, is read to its end.
func TestResultsOfALongJournal(t *testing.T) {
	t.Parallel()
	const n = 500
	files, err := fileblob.New(t.TempDir(), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	open := window.New(n, time.Now())
	for i := 1; i <= n; i++ {
		id := fmt.Sprint("r-", i)
		open.Add(id, window.Call{Line: int64(i), Batch: "r-batch-1"})
		text, err := call.EncodeOutcomes([]call.CallOutcome{{ID: id, Output: json.RawMessage(`{"statusCode":200}`)}})
		if err == nil {
			_, err = files.Put(t.Context(), fmt.Sprint("batches/r-batch-1/", i), "", bytes.NewReader(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		p := &Packer{Run: "r", Size: n, Store: batch.New(slow{files}), Log: slog.New(slog.DiscardHandler)}
		results, err := p.Results(t.Context(), call.Outcome{ID: "r-batch-1", Status: call.StatusAborted}, open)
		if err != nil || len(results) != n {
			t.Fatalf("%d results of %d, %v", len(results), n, err)
		}
		for _, r := range results {
			if r.StatusCode != 200 {
				t.Errorf("%+v, want the answer that the call had", r)
			}
		}
	})
}
