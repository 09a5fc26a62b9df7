package producer

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/report"
	"callfleet/internal/queue"
	"callfleet/internal/template/store"
)

func TestEncodeRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := call.Request{ID: "r-1", Template: "t", Method: "GET", Params: json.RawMessage(`{"a":"` + strings.Repeat("x", call.MaxInputBytes) + `"}`)}
	_, err := Workflow{}.Encode(t.Context(), r)
	if f, ok := errors.AsType[*call.Failure](err); !ok || f.Name != BadInput || !strings.Contains(f.Cause, "an execution takes 262144") {
		t.Errorf("%v", err)
	}
	if _, err := NewDirect(&templates{}).Encode(t.Context(), r); err != nil {
		t.Errorf("direct mode knows no such bound: %v", err)
	}
	s := &session{Producer: &Producer{deps: Deps{Queue: small{}, Encoder: Workflow{}}, opts: Options{}.withDefaults()}}
	r.Params = json.RawMessage(`{"a":"` + strings.Repeat("x", 100) + `"}`)
	_, err = s.encode(t.Context(), r)
	if f, ok := errors.AsType[*call.Failure](err); !ok || !strings.Contains(f.Cause, "the queue takes 100") {
		t.Errorf("%v", err)
	}
}

// small is a queue for short messages.
type small struct{ queue.Publisher }

func (small) Limits() queue.Limits { return queue.Limits{MaxBytes: 100} }

// The trace is in the headers as well as in the body; without one there is no
// header.
func TestEncodeTrace(t *testing.T) {
	t.Parallel()
	const parent, state = "00-0123456789abcdef0123456789abcdef-1111111111111111-01", "vendor=x"
	direct := NewDirect(nil)
	direct.found[store.Key{Name: "a", Method: "GET"}] = json.RawMessage(`{}`)
	for _, e := range []Encoder{Workflow{}, direct} {
		r := call.Request{ID: "run-1", Template: "a", Method: "GET", Trace: &call.Trace{Parent: parent, State: state}}
		m, err := e.Encode(t.Context(), r)
		if want := map[string]string{"traceparent": parent, "tracestate": state}; err != nil || !maps.Equal(m.Headers, want) ||
			!strings.Contains(string(m.Body), parent) {
			t.Errorf("%s: headers %v, body %s, error %v, want headers %v", e.Destination(), m.Headers, m.Body, err, want)
		}
		r.Trace = nil
		if m, err = e.Encode(t.Context(), r); err != nil || m.Headers != nil {
			t.Errorf("%s without a trace: headers %v, error %v", e.Destination(), m.Headers, err)
		}
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		sum  report.Summary
		err  error
		want int
	}{
		{"all ok", report.Summary{OK: 3}, nil, 0},
		{"some failed", report.Summary{OK: 3, Failed: 1}, nil, 1},
		{"no outcome", report.Summary{Open: 1}, nil, 1},
		{"interrupted", report.Summary{Failed: 1, Interrupted: true}, nil, 130},
		{"broken off", report.Summary{OK: 3}, errors.New("disk full"), 1},
		{"bad input", report.Summary{}, &callfile.Mistakes{}, 2},
		{"changed", report.Summary{}, journal.ErrChanged, 2},
	}
	for _, row := range rows {
		if got := ExitCode(&row.sum, row.err); got != row.want {
			t.Errorf("%s: %d, want %d", row.name, got, row.want)
		}
	}
}
