package pack

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/call"
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
