package template_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

// fields renders a template whose payload is of fields.
func fields(t *testing.T, kind, payload, params string) (call.Rendered, error) {
	t.Helper()
	it, err := itemjson.FromPlain([]byte(`{"name":"a","method":"POST","url":"https://h/","contentType":"` + kind + `","payload":` + payload + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return template.NewRenderer(template.Options{}).Render(t.Context(), it, json.RawMessage(params))
}

const (
	form  = "application/x-www-form-urlencoded"
	parts = "multipart/form-data"
)

func TestForm(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ payload, params, want string }{
		{`{"a": "{{ v }}", "b": "x y", "n": 3.0, "yes": true}`, `{"v": "1&2=3"}`, "a=1%262%3D3&b=x+y&n=3.0&yes=true"},
		{`{"tag": ["a", "{{ v }}", 2], "metadata[order id]": "{{ v }}"}`, `{"v": "é"}`, "tag=a&tag=%C3%A9&tag=2&metadata%5Border+id%5D=%C3%A9"},
		{`[{"name": "b", "value": "1"}, {"name": "a", "value": "{{ v }}"}, {"name": "b", "value": 2}]`, `{"v": ""}`, "b=1&a=&b=2"},
		{`{"a": "{{ v|tojson }}"}`, `{"v": {"x": [1]}}`, "a=%7B%22x%22%3A+%5B1%5D%7D"},
		{`{"a": "{{ v|safe }}"}`, `{"v": "&"}`, "a=%26"},
		{`{}`, `{}`, ""},
	} {
		r, err := fields(t, form, row.payload, row.params)
		if err != nil || string(r.Body) != row.want || !slices.Contains(r.Header, call.Header{Name: "Content-Type", Value: form}) {
			t.Errorf("%s: %s %v %v, want %s", row.payload, r.Body, r.Header, err, row.want)
		}
	}
}

// read is the rendered multipart body as a server reads it: heads and contents.
func read(t *testing.T, r call.Rendered) (list []string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(r.Header[len(r.Header)-1].Value)
	if err != nil || kind != parts {
		t.Fatalf("content type %v, %v", r.Header, err)
	}
	m := multipart.NewReader(bytes.NewReader(r.Body), params["boundary"])
	for {
		p, err := m.NextRawPart()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p.Header.Get("Content-Disposition")+" "+p.Header.Get("Content-Type")+": "+string(content))
	}
}

func TestMultipart(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		payload, params string
		want            []string
	}{
		{`{"a": "{{ v }}", "tag": ["x", 2]}`, `{"v": "1\r\n--x"}`,
			[]string{"form-data; name=\"a\" : 1\r\n--x", `form-data; name="tag" : x`, `form-data; name="tag" : 2`}},
		{`{"q\"uote": "", "meta": {"value": "{\"id\": \"{{ v }}\"}", "contentType": "application/json"}}`, `{"v": "a\"b"}`,
			[]string{`form-data; name="q%22uote" : `, `form-data; name="meta" application/json: {"id": "a\"b"}`}},
		{`[{"name": "key", "value": "k"}, {"name": "file", "value": "x", "filename": "{{ v }}.txt"}]`, `{"v": "na\"me"}`,
			[]string{`form-data; name="key" : k`, `form-data; name="file"; filename="na%22me.txt" application/octet-stream: x`}},
		{`{"file": {"ref": "v", "filename": "a", "contentType": "text/csv"}, "text": {"ref": "v"}}`, `{"v": "1,2\n"}`,
			[]string{"form-data; name=\"file\"; filename=\"a\" text/csv: 1,2\n", "form-data; name=\"text\" text/plain; charset=utf-8: 1,2\n"}},
	} {
		r, err := fields(t, parts, row.payload, row.params)
		if err != nil {
			t.Errorf("%s: %v", row.payload, err)
			continue
		}
		if got := read(t, r); !slices.Equal(got, row.want) {
			t.Errorf("%s:\n%q, want\n%q", row.payload, got, row.want)
		}
		if again, _ := fields(t, parts, row.payload, row.params); !bytes.Equal(again.Body, r.Body) {
			t.Errorf("%s: another body when it is rendered again", row.payload)
		}
	}
}

// A content that holds the boundary of another rendering has another boundary.
func TestBoundaryInTheContent(t *testing.T) {
	t.Parallel()
	text := "x"
	for range 3 {
		params, err := json.Marshal(map[string]string{"v": text})
		if err != nil {
			t.Fatal(err)
		}
		r, err := fields(t, parts, `{"a": "{{ v }}", "b": "end"}`, string(params))
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, r); len(got) != 2 || !strings.HasSuffix(got[0], ": "+text) {
			t.Errorf("parts %q", got)
		}
		text = string(r.Body)
	}
}

// held notes which params are left as they are.
type held struct{ except []string }

func (h *held) Resolve(_ context.Context, params json.RawMessage, except []string) (json.RawMessage, error) {
	h.except = except
	return params, nil
}

func TestMultipartOfReferences(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0", 64)
	it, err := itemjson.FromPlain([]byte(`{"name":"a","method":"POST","url":"https://h/","contentType":"multipart/form-data","payload":
		[{"name":"a","value":"1"},{"name":"f","ref":"file","filename":"p.png"},{"name":"g","ref":"other"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	h := &held{}
	r, err := template.NewRenderer(template.Options{References: h}).Render(t.Context(), it, json.RawMessage(
		`{"file":{"$ref":{"url":"s3://b/k","bytes":7,"sha256":"`+digest+`","contentType":"image/png"}},"other":{"$ref":{"url":"s3://b/l","bytes":8,"sha256":"`+digest+`"}}}`))
	if err != nil || len(r.Inserts) != 2 || !slices.Equal(h.except, []string{"file", "other"}) {
		t.Fatalf("%+v, %v, left alone %q", r, err, h.except)
	}
	before, after := r.Body[:r.Inserts[0].At], r.Body[r.Inserts[0].At:]
	if !bytes.HasSuffix(before, []byte("filename=\"p.png\"\r\nContent-Type: image/png\r\n\r\n")) || !bytes.HasPrefix(after, []byte("\r\n--callfleet-")) || r.Inserts[0].Ref.Bytes != 7 {
		t.Errorf("%q and %q", before, after)
	}
}

func TestFieldMistakes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ kind, payload, more, want string }{
		{form, `{"a": {"b": "c"}}`, "", "payload.a: is a map (M), which a form has not: write out the name of each field, as in a[key]"},
		{form, `{"a": [["b"]]}`, "", "payload.a.0: is a list within a list"},
		{form, `{"a": null}`, "", "payload.a: has type NULL, a field may be S, N or BOOL"},
		{form, `["a"]`, "", "payload.0: must be a map (M) with name and value, is S"},
		{form, `[{"value": "a"}]`, "", "payload.0.name: must be a text (S)"},
		{form, `[{"name": "a"}]`, "", "payload.0: must have value or ref, and not both"},
		{form, `[{"name": "a", "value": "b", "filename": "c"}]`, "", "payload.0.filename: is unknown: a field of a form has name and value"},
		{form, `{"": "a"}`, "", "payload.: has a name that is empty, or holds a control character"},
		{form, `{"a": "{{ b"}`, "", "payload.a: line 1 column"},
		{parts, `{"a\r\nX: y": "b"}`, "", "has a name that is empty, or holds a control character"},
		{parts, `{"a": {"value": "b", "ref": "c"}}`, "", "payload.a: must have value or ref, and not both"},
		{parts, `{"a": {"file": "b"}}`, "", "payload.a.file: is unknown: there are name, value, ref, filename and contentType"},
		{parts, `{"a": {"value": "b", "contentType": "image"}}`, "", "payload.a.contentType: must be a media type such as image/png"},
		{parts, `{"a": {"value": "b", "contentType": "a/b\r\nX: y"}}`, "", "payload.a.contentType: must be a media type"},
		{parts, `{"a": {"value": "b", "contentType": "{{ c }}/d"}}`, "", "payload.a.contentType: must be a media type such as image/png, and is not templated"},
		{parts, `{"a": {"value": "b", "filename": "{{ \"secret://env/CALLFLEET_SECRET_A\"|secret }}"}}`, "", "payload.a.filename: cannot hold a secret"},
		{parts, `{"a": {"value": "{\"b\": \"{{ 'secret://env/CALLFLEET_SECRET_A'|secret }}\"}", "contentType": "application/json"}}`, "", "payload.a.value: cannot hold a secret"},
		{parts, `{"a": {"ref": "b"}, "c": "{{ \"secret://env/CALLFLEET_SECRET_A\"|secret }}"}`, "", "payload: has both a secret and a ref"},
		{parts, `{"a": {"ref": "b"}}`, `,"auth":{"type":"hmac","keys":"secret://env/CALLFLEET_SECRET_A"}`, "auth: of type hmac signs the body"},
		{parts, `{"a": "b"}`, `,"payloadRef":"c"`, "payloadRef: is there besides payload"},
		{parts + "; boundary=x", `{"a": "b"}`, "", "contentType: has a boundary"},
		{"text/csv", `{"a": "b"}`, "", "payload: is a structure, which is sent as JSON, a form or multipart/form-data, but the content type is text/csv"},
	} {
		it, err := itemjson.FromPlain([]byte(`{"name":"a","method":"POST","url":"https://h/","contentType":"` + row.kind + `","payload":` + row.payload + row.more + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := template.Parse(it); err == nil || !strings.Contains(err.Error(), row.want) || strings.ContainsAny(err.Error(), "\r\n") && row.kind == form {
			t.Errorf("%s: %v, want %s", row.payload, err, row.want)
		}
	}
	for _, row := range []struct{ payload, params, want string }{
		{`{"a": {"ref": "v"}}`, `{}`, `payload.a: there is no param "v"`},
		{`{"a": {"ref": "v"}}`, `{"v": 7}`, `payload.a: param "v" is neither a text nor a reference`},
		{`{"a": {"ref": "v"}}`, `{"v": {"$ref": {"url": "s3://b/k", "bytes": 7, "sha256": "` + strings.Repeat("0", 64) + `", "contentType": "a/b\r\nX: y"}}}`, `is no header value`},
		{`{"a": {"value": "b", "filename": "{{ v }}"}}`, `{"v": "a\r\nX: y"}`, "payload.a.filename: is empty, or holds a line break"},
		{`{"a": {"value": "b", "filename": "{{ v }}"}}`, `{"v": ""}`, "payload.a.filename: is empty"},
		{`{"a": {"value": "[{{ v }}", "contentType": "application/json"}}`, `{"v": 1}`, "payload.a: is not JSON when rendered"},
		{`{"a": "{{ v }}"}`, `{}`, "payload.a: line 1 column"},
	} {
		if _, err := fields(t, parts, row.payload, row.params); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.payload, err, row.want)
		}
	}
}
