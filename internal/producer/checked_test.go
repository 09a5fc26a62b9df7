package producer

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"callfleet/internal/call"
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

func TestCheckedRefusesParams(t *testing.T) {
	t.Parallel()
	item, err := template.FromPlain([]byte(`{"name":"a","method":"GET","url":"https://h/{{ id }}","params":{"required":["id"],"properties":{"id":{"type":"string"}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	d := &declaring{item: item}
	for _, e := range []Encoder{Workflow{}, NewDirect(&declaring{item: item})} {
		c := NewChecked(e, d)
		d.asked = 0
		for params, want := range map[string]string{`{"id":"x"}`: "", `{}`: "template a GET: params: params lacks id", `{"id":7}`: "id is number, must be string"} {
			m, err := c.Encode(t.Context(), call.Request{ID: "r-1", Template: "a", Method: "GET", Params: json.RawMessage(params)})
			f, failed := errors.AsType[*call.Failure](err)
			if want == "" && (err != nil || len(m.Body) == 0) || want != "" && (!failed || f.Name != BadInput || !strings.Contains(f.Cause, want)) {
				t.Errorf("%s %s: got %v, want %s", e.Destination(), params, err, want)
			}
		}
		if d.asked != 1 || c.Destination() != e.Destination() {
			t.Errorf("the template was looked up %d times; destination %s", d.asked, c.Destination())
		}
	}
}

// What cannot be checked is published: the execution or the worker reports it.
func TestCheckedLetsPassWhatItCannotCheck(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*declaring{"no such template": {}, "store away": {err: errors.New("away")}, "broken": {item: json.RawMessage(`{}`)}} {
		template := "a"
		if name == "no such template" {
			template = "b"
		}
		r := call.Request{ID: "r-1", Template: template, Method: "GET", Params: json.RawMessage(`{}`)}
		if _, err := NewChecked(Workflow{}, d).Encode(t.Context(), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
