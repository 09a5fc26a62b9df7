package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"callfleet/internal/app/backend"
	"callfleet/internal/config"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall/egress"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nowhere is a machine on which no server runs; the sample API takes any port.
var nowhere = machine{"nats://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1:0"}

// bundle is a directory to run commands in, and an API to call.
type bundle struct {
	dir   string
	api   *api
	allow string // more that may be called
	machine
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return &bundle{dir: evidence.Dir(t), api: newAPI(t), machine: nowhere}
}

// ended is what a command came to.
type ended struct {
	code        int
	out, errors string
}

func (b *bundle) producer(t *testing.T, args ...string) ended {
	t.Helper()
	return b.producerWith(t, t.Context(), strings.NewReader(""), args...)
}

// producerWith runs one command in this process, on the bundle's data
// directory.
func (b *bundle) producerWith(t *testing.T, ctx context.Context, stdin io.Reader, args ...string) ended {
	t.Helper()
	var out, errs buffer
	in := config.Input{
		Args: args, Stdout: &out, Version: "1.2.3", Schemes: config.Schemes{
			Queue: backend.QueueSchemes, StepFunctions: backend.StepFunctionsSchemes, Templates: backend.TemplateSchemes, Blobs: backend.BlobSchemes,
		},
		Getenv: func(name string) string {
			switch name {
			case "CALLFLEET_DATA":
				return filepath.Join(b.dir, "data")
			case egress.AllowSetting: // the bundle's API; the sample API needs no setting
				return strings.Trim(strings.TrimPrefix(b.api.URL, "http://")+","+b.allow, ",")
			}
			return ""
		},
	}
	code := run(ctx, in, Streams{In: stdin, Out: &out, Err: &errs}, b.machine)
	evidence.Write(t, evidence.Output, out.String()+errs.String())
	return ended{code, out.String(), errs.String()}
}

// want fails the test unless the command ended with that code and printed all
// of the texts, to either stream.
func (e ended) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if e.code != code {
		t.Errorf("exit code %d, want %d", e.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(e.out+e.errors, text) {
			t.Errorf("%q is not in the output", text)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", e.out, e.errors)
	}
}

// file writes a file into the bundle's directory and returns its path.
func (b *bundle) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// template stores the template "item" GET, which calls the bundle's API.
func (b *bundle) template(t *testing.T) {
	t.Helper()
	path := b.file(t, "item.GET.json", `{"name":"item","method":"GET","url":"`+b.api.URL+`/items/{{ n }}?status={{ status|default:200 }}"}`)
	b.producer(t, "template", "put", path).want(t, 0, "put item GET")
}

func (b *bundle) results(t *testing.T, path string) map[string]result {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]result{}
	for line := range strings.Lines(string(text)) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if _, ok := found[r.ID]; ok && r.ID != "" {
			t.Errorf("%s is there twice", r.ID)
		}
		found[r.ID] = r
	}
	return found
}

type result struct {
	ID, Status, Error, Cause string
	StatusCode               int
}

// api counts its calls and answers with the status that the query names. While
// it is held, answers wait.
type api struct {
	*httptest.Server
	mu    sync.Mutex
	keys  map[string]int // guarded by mu: calls by idempotency key
	calls chan struct{}  // one for each call, as far as there is room
	held  chan struct{}  // closed when answers need not wait
}

func newAPI(t *testing.T) *api {
	t.Helper()
	a := &api{keys: map[string]int{}, calls: make(chan struct{}, 1000), held: make(chan struct{})}
	close(a.held)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.keys[r.Header.Get("Idempotency-Key")]++
		held := a.held
		a.mu.Unlock()
		a.calls <- struct{}{}
		select {
		case <-held:
		case <-r.Context().Done():
			return
		}
		if r.URL.Query().Get("status") == "404" {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"path":"` + r.URL.Path + `"}`))
	}))
	t.Cleanup(a.Close)
	return a
}

// hold makes answers wait until the function it returns is called.
func (a *api) hold() (release func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	held := make(chan struct{})
	a.held = held
	return func() { close(held) }
}

func (a *api) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, calls := range a.keys {
		n += calls
	}
	return n
}

// buffer is what a program's goroutines may write to together.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// golden compares text with a file in testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("output differs from %s (go test -update writes it):\n%s", path, text)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for args, row := range map[string]struct {
		code int
		text string
	}{
		"--help":                    {0, "Commands:"},
		"run --help":                {0, "Exit code: 0 all calls succeeded"},
		"version":                   {0, "1.2.3\n"},
		"":                          {2, `Run "producer --help"`},
		"run":                       {2, `Run "producer run --help"`},
		"call a get":                {2, "want an HTTP method in capitals, such as GET, not get"},
		"call a GET -p x":           {2, `param "x": want k=v`},
		"run /dev/null/x.jsonl":     {2, "/dev/null/x.jsonl"},
		"run nope.jsonl":            {2, "there is no call file nope.jsonl"},
		"run .":                     {2, ". is a directory"},
		"template put nope":         {2, "there is no file or directory nope"},
		"template put ../../config": {2, "holds no *.json file"},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			e := b.producer(t, strings.Fields(args)...)
			e.want(t, row.code, row.text)
			if strings.Contains(e.errors, "embedded") {
				t.Errorf("servers were started for nothing:\n%s", e.errors)
			}
		})
	}
}
