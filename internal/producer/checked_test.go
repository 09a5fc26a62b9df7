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
	case k.Name != "a", k.Method != "GET" && k.Method != "GET@2" && k.Method != "GET@3":
		return store.Item{}, store.ErrNotFound
	}
	return store.Item{Key: k, Attributes: d.item}, nil
}

// Versions has 2 and 3 of a GET.
func (d *declaring) Versions(context.Context, store.Key) ([]store.Item, error) {
	get := store.Key{Name: "a", Method: "GET"}
	return []store.Item{{Key: get.At(2), Attributes: d.item}, {Key: get.At(3), Attributes: d.item}}, d.err
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

// A version that is not there is known before anything is published, and the
// error tells which there are.
func TestCheckedRefusesUnknownVersions(t *testing.T) {
	t.Parallel()
	d := &declaring{item: json.RawMessage(`{"PK":{"S":"a"},"SK":{"S":"GET@2"},"url":{"S":"https://h/"}}`)}
	for _, e := range []Encoder{Workflow{}, NewDirect(d), NewChecked(Workflow{}, d), NewChecked(NewDirect(d), d)} {
		r := call.Request{ID: "r-1", Template: "a", Method: "GET", Version: 2, Params: json.RawMessage(`{}`)}
		m, err := e.Encode(t.Context(), r)
		if err != nil || !strings.Contains(string(m.Body), `GET@2"`) {
			t.Errorf("%T: got %s, %v", e, m.Body, err)
		}
		if _, unchecked := e.(Workflow); unchecked {
			continue
		}
		for range 2 { // the second time it is remembered
			r.Version = 9
			_, err := e.Encode(t.Context(), r)
			f, ok := errors.AsType[*call.Failure](err)
			if !ok || f.Name != call.TemplateNotFound || !strings.Contains(f.Cause, "has no version 9, only 2 to 3;") {
				t.Errorf("%T: got %v", e, err)
			}
		}
	}
	d.err = errors.New("away")
	r := call.Request{ID: "r-1", Template: "a", Method: "GET", Version: 9, Params: json.RawMessage(`{}`)}
	if _, err := NewChecked(Workflow{}, d).Encode(t.Context(), r); err != nil {
		t.Errorf("what cannot be checked is published: %v", err)
	}
}
