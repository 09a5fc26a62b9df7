package template_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

func TestReferences(t *testing.T) {
	t.Parallel()
	s, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	checker := claim.New(claim.Options{})
	checker.Bind(s)
	put := func(kind string, data []byte) call.BlobRef {
		ref, err := checker.PutParam(t.Context(), "r", kind, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	long := strings.Repeat("long \"text\" ", 100_000)
	text, image := put("text/plain", []byte(long)), put("image/png", []byte("\x89PNG\xff"))
	badType := image
	badType.ContentType = "image/png\r\nX-Evil: 1"
	ref := func(r call.BlobRef) string { return string(call.EncodeRef(r)) }
	r := template.NewRenderer(template.Options{References: checker})
	for name, row := range map[string]struct {
		template, params string
		says             string // of the failure; "" is none
		check            func(call.Rendered) bool
	}{
		"text in a payload": {`"payload":{"doc":"{{ doc }}"}`, `{"doc":` + ref(text) + `}`, "", func(r call.Rendered) bool {
			var got struct{ Doc string }
			return json.Unmarshal(r.Body, &got) == nil && got.Doc == long
		}},
		"whole body": {`"payloadRef":"doc"`, `{"doc":` + ref(image) + `,"id":1}`, "", func(r call.Rendered) bool {
			return r.Body == nil && *r.BodyRef == image && r.Header[0] == call.Header{Name: "Content-Type", Value: "image/png"}
		}},
		"whole body, typed": {`"payloadRef":"doc","contentType":"image/x-other"`, `{"doc":` + ref(image) + `}`, "", func(r call.Rendered) bool {
			return len(r.Header) == 1 && r.Header[0].Value == "image/x-other"
		}},
		"binary in a payload": {`"payload":{"doc":"{{ doc }}"}`, `{"doc":` + ref(image) + `}`, "payloadRef", nil},
		"body and payload":    {`"payloadRef":"doc","payload":"x"`, `{"doc":` + ref(image) + `}`, "one body", nil},
		"body that is no ref": {`"payloadRef":"doc"`, `{"doc":7}`, "neither a text nor a reference", nil},
		"body that is a text": {`"payloadRef":"doc"`, `{"doc":"na\u00efve"}`, "", func(r call.Rendered) bool {
			return string(r.Body) == "naïve" && r.Header[0].Value == "text/plain; charset=utf-8"
		}},
		"body that is missing": {`"payloadRef":"doc"`, `{}`, "no param", nil},
		"bad content type":     {`"payloadRef":"doc"`, `{"doc":` + ref(badType) + `}`, "no header value", nil},
		"declared, and right": {`"payload":"{{ doc }}","params":{"properties":{"doc":{"type":"string","minLength":1000}}}`, `{"doc":` + ref(text) + `}`, "", func(r call.Rendered) bool {
			return string(r.Body) == long
		}},
		"declared, and wrong":  {`"payload":"{{ doc }}","params":{"properties":{"doc":{"type":"string","maxLength":1000}}}`, `{"doc":` + ref(text) + `}`, `doc breaks "maxLength"`, nil},
		"declared, whole body": {`"payloadRef":"doc","params":{"required":["doc","id"],"properties":{"doc":{"type":"string"}}}`, `{"doc":` + ref(image) + `}`, "params lacks id", nil},
		"foreign":              {`"payload":"{{ doc }}"`, `{"doc":{"$ref":{"url":"file:///etc/passwd","bytes":1,"sha256":"` + text.SHA256 + `"}}}`, "not of this fleet", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			item, err := itemjson.FromPlain([]byte(`{"name":"n","method":"POST","url":"http://127.0.0.1/x",` + row.template + `}`))
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.Render(t.Context(), item, json.RawMessage(row.params))
			f, _ := errors.AsType[*call.Failure](err)
			switch {
			case row.says != "" && (f == nil || !strings.Contains(f.Cause, row.says)):
				t.Errorf("got %v, want a failure that says %q", err, row.says)
			case row.says == "" && (err != nil || !row.check(got)):
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
