package producer

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/producer/callfile"
	"callfleet/internal/producer/journal"
	"callfleet/internal/producer/report"
	"callfleet/internal/queue"
	"callfleet/internal/template/store"
)

func TestParseParams(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "body.txt")
	if err := os.WriteFile(file, []byte("two\nlines <&>"), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "binary")
	if err := os.WriteFile(binary, []byte{0xff}, 0o600); err != nil {
		t.Fatal(err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxParamFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		args []string
		want string // or "! " and parts of the error
	}{
		{nil, `{}`},
		{[]string{"id=42", "empty=", "x=a=b", `q="quoted"`}, `{"id":"42","empty":"","x":"a=b","q":"\"quoted\""}`},
		{[]string{"n:=1.50", "list:=[1, 2]", "yes:=true", `s:="@x"`}, `{"n":1.50,"list":[1, 2],"yes":true,"s":"@x"}`},
		{[]string{"body=@" + file}, `{"body":"two\nlines <&>"}`},
		{[]string{"a", "=b", "c:=", "d=1", "d=2"}, `! param "a": want k=v|has no name|param "c": what follows := is not JSON|param "d": is given twice`},
		{[]string{"g=@" + binary, "h=@" + big, "i=1"}, `{"g":{"$ref":{"url":"binary","bytes":0,"sha256":""}},"h":{"$ref":{"url":"big","bytes":0,"sha256":""}},"i":"1"}`},
		{[]string{"f=@" + filepath.Join(dir, "none"), "u=\xff"}, "! no such file|not valid UTF-8"},
	}
	for _, row := range rows {
		params, err := ParseParams(row.args)
		got, putErr := params.JSON(t.Context(), func(_ context.Context, file string) (call.BlobRef, error) {
			return call.BlobRef{URL: filepath.Base(file)}, nil
		})
		if putErr != nil {
			t.Error(putErr)
		}
		parts, bad := strings.CutPrefix(row.want, "! ")
		if !bad && (err != nil || string(got) != row.want || !json.Valid(got)) {
			t.Errorf("%q: %s, %v", row.args, got, err)
		}
		for _, part := range strings.Split(parts, "|") {
			if bad && (err == nil || !strings.Contains(err.Error(), part)) {
				t.Errorf("%q: %v does not tell %q", row.args, err, part)
			}
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("id=42")
	f.Add("n:={\"a\":[1.50]}")
	f.Add("a:b:=null")
	f.Fuzz(func(t *testing.T, arg string) {
		if strings.Contains(arg, "=@") {
			return // would read a file
		}
		params, err := ParseParams([]string{arg})
		if err != nil {
			return
		}
		if got, err := params.JSON(t.Context(), nil); err != nil || !json.Valid(got) {
			t.Errorf("%q makes %s, %v", arg, got, err)
		}
	})
}

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
