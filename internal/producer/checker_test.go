package producer

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/queue"
	"callfleet/internal/template"
	"callfleet/internal/template/store"
)

// declaring is a store with one template, which declares its params.
type declaring struct {
	item  json.RawMessage
	asked int
	err   error
}

func (d *declaring) Get(_ context.Context, k store.Key) (store.Item, error) {
	d.asked++
	switch {
	case d.err != nil:
		return store.Item{}, d.err
	case k.Name != "a":
		return store.Item{}, store.ErrNotFound
	}
	return store.Item{Key: k, Attributes: d.item}, nil
}

func TestCheckerRefusesParams(t *testing.T) {
	t.Parallel()
	item, err := template.FromPlain([]byte(`{"name":"a","method":"GET","url":"https://h/{{ id }}","params":{"required":["id"],"properties":{"id":{"type":"string"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	d := &declaring{item: item}
	for _, e := range []Encoder{Workflow{}, NewDirect(&declaring{item: item})} {
		d.asked = 0
		s := &session{Producer: &Producer{deps: Deps{Queue: unbounded{}, Encoder: e, Checker: NewChecker(d)}, opts: Options{}.withDefaults()}}
		for params, want := range map[string]string{`{"id":"x"}`: "", `{}`: "template a GET: params: params lacks id", `{"id":7}`: "id is number, must be string"} {
			m, err := s.encode(t.Context(), call.Request{ID: "r-1", Template: "a", Method: "GET", Params: json.RawMessage(params)})
			f, failed := errors.AsType[*call.Failure](err)
			if want == "" && (err != nil || len(m.Body) == 0) || want != "" && (!failed || f.Name != BadInput || !strings.Contains(f.Cause, want)) {
				t.Errorf("%s %s: got %v, want %s", e.Destination(), params, err, want)
			}
		}
		if d.asked != 1 {
			t.Errorf("%s: the template was looked up %d times", e.Destination(), d.asked)
		}
	}
}

// What cannot be checked is published: the execution or the worker reports it.
func TestCheckerLetsPassWhatItCannotCheck(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*declaring{"no such template": {}, "store away": {err: errors.New("away")}, "broken": {item: json.RawMessage(`{}`)}} {
		template := "a"
		if name == "no such template" {
			template = "b"
		}
		r := call.Request{ID: "r-1", Template: template, Method: "GET", Params: json.RawMessage(`{}`)}
		if err := NewChecker(d).Check(t.Context(), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// unbounded is a queue for messages of any size.
type unbounded struct{ queue.Publisher }

func (unbounded) Limits() queue.Limits { return queue.Limits{} }

// moving puts every param elsewhere.
type moving struct{ moved int }

func (m *moving) Shrink(_ context.Context, _ string, _ json.RawMessage, _ int) (json.RawMessage, error) {
	m.moved++
	return json.RawMessage(`{"id":` + string(call.EncodeRef(call.BlobRef{URL: "x", SHA256: strings.Repeat("0", 64)})) + `}`), nil
}

// Large params are checked by their values, and before they are moved; what
// was moved before passes, for the worker to check.
func TestCheckerAndLargeParams(t *testing.T) {
	t.Parallel()
	item, err := template.FromPlain([]byte(`{"name":"a","method":"GET","url":"https://h/{{ id }}","params":{"required":["id"],"properties":{"id":{"type":"string"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("1", 500)
	reference := string(call.EncodeRef(call.BlobRef{URL: "x", SHA256: strings.Repeat("0", 64)}))
	for params, row := range map[string]struct {
		moved int
		want  string
	}{
		`{"id":"` + large + `"}`:                {1, ""},
		`{"id":` + large + `}`:                  {0, "id is number, must be string"},
		`{"no":"` + large + `"}`:                {0, "params lacks id"},
		`{"id":` + reference + `}`:              {1, ""},
		`{"id":"x","other":` + reference + `}`:  {1, ""},
		`{"id":7,"other":` + reference + `}`:    {0, "id is number, must be string"},
		`{"id":{"$ref":"no reference"},"a":1}`:  {0, "id is object, must be string"},
		`{"id":"x","a":{"$ref":"schema text"}}`: {0, ""},
	} {
		claims := &moving{}
		s := &session{Producer: &Producer{
			deps: Deps{Queue: unbounded{}, Encoder: Workflow{}, Checker: NewChecker(&declaring{item: item}), Claims: claims},
			opts: Options{ClaimAbove: 100}.withDefaults(),
		}}
		r := call.Request{ID: "r-1", Template: "a", Method: "GET", Params: json.RawMessage(params)}
		strict := s.tryEncode(t.Context(), r)
		_, err := s.encode(t.Context(), r)
		for _, err := range []error{strict, err} {
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%.60s: got %v, want %s", params, err, row.want)
			}
		}
		if claims.moved != row.moved {
			t.Errorf("%.60s: moved %d times, want %d", params, claims.moved, row.moved)
		}
	}
}
