package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callfleet/internal/call"
)

// mirror is a server that answers with the body it gets, as the type that it
// says it is.
func (b *bundle) mirror(t *testing.T) (url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(s.Close)
	b.allow = s.Listener.Addr().String()
	return s.URL
}

func TestFilesThereAndBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := b.file(t, "mirror.POST.json", `{"name":"mirror","method":"POST","url":"`+b.mirror(t)+`","payloadRef":"file"}`)
	b.producer(t, "template", "put", path).want(t, 0)
	for name, text := range map[string]string{
		"large.png":  "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00image\xff", 300_000),
		"small.png":  "\x89PNG\r\n\x1a\n",
		"small.txt":  "naïve <text>",
		"large.json": `{"text":"` + strings.Repeat("x", 2<<20) + `"}`,
	} {
		file := b.file(t, name, text)
		called := b.producer(t, "call", "mirror", "POST", "-p", "file=@"+file, "--wait")
		called.want(t, 0)
		var r struct {
			ID     string
			Output json.RawMessage
		}
		if err := json.Unmarshal([]byte(called.out), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Output) > 2000 {
			t.Errorf("%s: an output of %d bytes", name, len(r.Output))
		}
		out := filepath.Join(b.dir, "out-"+name)
		b.producer(t, "result", "get", r.ID, "-o", out).want(t, 0)
		if got, err := os.ReadFile(out); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes came back, %v, want %d", name, len(got), err, len(text))
		}
		if printed := b.producer(t, "result", "get", r.ID); printed.code != 0 || printed.out != text {
			t.Errorf("%s: printed %d bytes, exit code %d", name, len(printed.out), printed.code)
		}
	}
	b.producer(t, "result", "get", "none-1").want(t, 1, "there is no execution none-1")
	b.producer(t, "template", "render", "mirror", "POST", "-p", "file=@"+filepath.Join(b.dir, "small.png")).want(t, 0, "(8 bytes, sha256 ", "Content-Length: 8\n")
}

// Without params the template's example is rendered, and said to be it.
func TestRenderUsesTheExample(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := b.file(t, "greet.POST.json", `{"name":"greet","method":"POST","url":"http://127.0.0.1/{{ id }}","payload":{"to":"{{ to|default:\"all\" }}"},
		"example":{"id":7,"to":"Ann"}}`)
	b.producer(t, "template", "put", path).want(t, 0)
	const said = "no params are given: this is the template's example\n"
	if got := b.producer(t, "template", "render", "greet", "POST"); got.code != 0 || got.errors != said ||
		!strings.HasPrefix(got.out, "POST /7 HTTP/1.1\n") || !strings.HasSuffix(got.out, "\n\n{\"to\":\"Ann\"}\n") {
		t.Errorf("printed %q and %q", got.out, got.errors)
	}
	if got := b.producer(t, "template", "render", "greet", "POST", "-p", "id=8"); got.code != 0 || got.errors != "" || !strings.Contains(got.out, `{"to":"all"}`) {
		t.Errorf("with params: printed %q and %q", got.out, got.errors)
	}
	b.producer(t, "template", "render", "greet", "POST", "-p", "to=Bob").want(t, 1, "id is not in params")
}

// What the template wants of the answer is told beside the request, which may be
// piped into something.
func TestRenderTellsOfTheAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := b.file(t, "ask.GET.json", `{"name":"ask","method":"GET","url":"http://127.0.0.1/","response":{"headers":["ETag"],
		"select":{"answer":"$.a","n":"$.n"},"required":["answer"],"body":"ref","status":{"404":"NotFound"}}}`)
	b.producer(t, "template", "put", path).want(t, 0)
	got := b.producer(t, "template", "render", "ask", "GET")
	const want = `of the answer: headers: etag; body: {"answer": $.a (required), "n": $.n}; body: kept in the blob store; 404: NotFound`
	if got.code != 0 || strings.TrimSpace(got.errors) != want || strings.Contains(got.out, "answer") {
		t.Errorf("printed %q and %q, want %q", got.out, got.errors, want)
	}
}

func TestResultGetOfADirectRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := b.file(t, "mirror.POST.json", `{"name":"mirror","method":"POST","url":"`+b.mirror(t)+`","payload":"{{ text }}"}`)
	b.producer(t, "template", "put", path).want(t, 0)
	text := strings.Repeat("5 MB of text\n", 400_000)
	line, err := json.Marshal(map[string]any{"templateName": "mirror", "method": "POST", "params": map[string]string{"text": text}})
	if err != nil {
		t.Fatal(err)
	}
	calls, results := b.file(t, "calls.jsonl", string(line)+"\n"), filepath.Join(b.dir, "r.jsonl")
	b.producer(t, "run", calls, "--direct", "--results", results, "--run", "r", "--strict").want(t, 0)
	got := b.producer(t, "result", "get", "r-1", "--results", results)
	if got.code != 0 || got.out != text {
		t.Fatalf("%d bytes, exit code %d: %s", len(got.out), got.code, got.errors)
	}
	b.producer(t, "result", "get", "r-2", "--results", results).want(t, 1, "has no result of it")

	// By reference, and by one that is not right: nothing is written then.
	data, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Output call.Result }
	if err := json.Unmarshal(bytes.TrimSpace(data), &r); err != nil || r.Output.BodyRef == nil {
		t.Fatalf("%v in %.300s", err, data)
	}
	ref, out := *r.Output.BodyRef, filepath.Join(b.dir, "out")
	for _, row := range []struct {
		change func(*call.BlobRef)
		code   int
		says   string
	}{
		{func(*call.BlobRef) {}, 0, ""},
		{func(r *call.BlobRef) { r.SHA256 = strings.Repeat("0", 64) }, 1, "digest"},
		{func(r *call.BlobRef) { r.URL += "x" }, 1, "expired"},
		{func(r *call.BlobRef) { r.URL = "file:///etc/passwd" }, 1, "not of this fleet"},
	} {
		changed := ref
		row.change(&changed)
		arg, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		got := b.producer(t, "result", "get", string(arg), "-o", out)
		got.want(t, row.code, row.says)
		if info, err := os.Stat(out); (err == nil) != (row.code == 0) {
			t.Errorf("%q: file %v, %v", row.says, info, err)
		}
		os.Remove(out)
	}
}
