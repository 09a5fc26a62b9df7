package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"callfleet/internal/blob/blobtest"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
	"callfleet/internal/function"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

// chat answers as an LLM does, with 2 MB besides the text; what it is asked for
// says how.
func chat(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/missing":
		w.WriteHeader(http.StatusNotFound)
	case "/exists":
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"choices":[{"message":{"content":"as before"}}]}`))
	case "/empty":
		_, _ = w.Write([]byte(`{"choices":[]}`))
	default:
		w.Header().Set("X-RateLimit-Left", "9")
		_, _ = w.Write([]byte(`{"choices":[{"message":{"content":"forty-two"}}],"trace":"` + strings.Repeat("x", 2_000_000) + `"}`))
	}
}

var wantOfChat = map[string]any{
	"headers": []string{"X-RateLimit-*"}, "select": map[string]string{"answer": "$.choices[0].message.content"}, "required": true,
	"status": map[string]string{"404": "NotFound", "409": "ok"},
}

const selected = `"headers":{"X-Ratelimit-Left":"9"},"body":{"answer":"forty-two"},`

// What a template wants of the answer is the output of an execution, of a
// direct call and of the function.
func TestResponse(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	url := serve(t, chat)
	ask := map[string]any{"name": "ask", "method": "POST", "url": url + "/{{ what }}", "response": wantOfChat}
	key := s.put(t, ask)
	for _, mode := range modes {
		results := s.run(t, mode,
			line{key, map[string]any{"what": "chat"}}, line{key, map[string]any{"what": "missing"}},
			line{key, map[string]any{"what": "exists"}}, line{key, map[string]any{"what": "empty"}})
		wantOK(t, results[0])
		if out := string(results[0].Output); !strings.Contains(out, selected) || strings.Contains(out, "bodyRef") {
			t.Errorf("%s: output %.300s", mode, out)
		}
		wantFailed(t, results[1], "NotFound", "/missing: answered 404 (1 attempt")
		if r := results[2]; r.Status != "SUCCEEDED" || r.StatusCode != 409 || !strings.Contains(string(r.Output), `"ok":true`) || !strings.Contains(string(r.Output), `{"answer":"as before"}`) {
			t.Errorf("%s: an answer that is ok: %+v, output %s", mode, r, r.Output)
		}
		wantFailed(t, results[3], string(call.SelectFailed), "the body has no $.choices[0].message.content")
	}
	text, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	item, err := itemjson.FromPlain(text)
	if err != nil {
		t.Fatal(err)
	}
	client, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	f := function.New(template.NewRenderer(template.Options{}), client, function.Options{Logger: evidence.Logger(t)})
	event := func(what string) []byte {
		return []byte(`{"template":` + string(item) + `,"params":{"what":"` + what + `"}}`)
	}
	if out, err := f.Invoke(t.Context(), event("chat")); err != nil || !strings.Contains(string(out), selected) {
		t.Errorf("the function answers %.300s, %v", out, err)
	}
	_, err = f.Invoke(t.Context(), event("missing"))
	if wrong, ok := errors.AsType[*call.Failure](err); !ok || wrong.Name != "NotFound" {
		t.Errorf("the function fails with %v", err)
	}
}

// A form, and a file within multipart form data, arrive as they were given.
func TestFieldsArrive(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		got := map[string]any{"note": r.PostForm["note"], "tag": r.PostForm["tag"]}
		if file, head, err := r.FormFile("file"); err == nil {
			hash := sha256.New()
			_, _ = io.Copy(hash, file)
			got["file"] = []string{head.Filename, head.Header.Get("Content-Type"), hex.EncodeToString(hash.Sum(nil))}
		}
		_ = json.NewEncoder(w).Encode(got)
	})
	image := blobtest.Data(3_000_000)
	claims := claim.New(claim.Options{})
	claims.Bind(s.producer.Blobs)
	ref, err := claims.PutParam(t.Context(), "test", "image/png", bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{"note": "{{ note }}", "tag": []any{"a", 2}}
	form := s.put(t, map[string]any{"name": "form", "method": "POST", "url": url, "contentType": "application/x-www-form-urlencoded", "payload": fields})
	upload := s.put(t, map[string]any{"name": "upload", "method": "POST", "url": url, "contentType": "multipart/form-data",
		"payload": map[string]any{"note": "{{ note }}", "tag": []any{"a", 2}, "file": map[string]any{"ref": "file", "filename": "{{ note }}.png"}}})
	const note = "naïve & \"<text>\""
	for _, mode := range modes {
		results := s.run(t, mode,
			line{form, map[string]any{"note": note}},
			line{upload, map[string]any{"note": "n", "file": json.RawMessage(call.EncodeRef(ref))}})
		for i, want := range []map[string]any{
			{"note": []any{note}, "tag": []any{"a", "2"}},
			{"note": []any{"n"}, "tag": []any{"a", "2"}, "file": []any{"n.png", "image/png", digestOf(image)}},
		} {
			wantOK(t, results[i])
			var out struct{ Body map[string]any }
			if err := json.Unmarshal(results[i].Output, &out); err != nil || !reflect.DeepEqual(out.Body, want) {
				t.Errorf("%s: the API got %v, want %v (%v)", mode, out.Body, want, err)
			}
		}
	}
}
