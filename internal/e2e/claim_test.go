package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/app/backend"
	"callfleet/internal/awstest"
	"callfleet/internal/blob"
	"callfleet/internal/blob/blobtest"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
	"callfleet/internal/producer/journal"
)

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// wantClaimed checks that the result refers to data in the store, and that the
// store has it.
func (s *stack) wantClaimed(t *testing.T, r journal.Result, contentType string, data []byte) {
	t.Helper()
	wantOK(t, r)
	var out call.Result
	if err := json.Unmarshal(r.Output, &out); err != nil || out.BodyRef == nil || out.Body != nil {
		t.Fatalf("output of %d bytes has no reference: %v", len(r.Output), err)
	}
	if ref := *out.BodyRef; ref.SHA256 != digestOf(data) || ref.Bytes != int64(len(data)) || ref.ContentType != contentType {
		t.Errorf("reference %+v, want %d bytes of %s", ref, len(data), contentType)
	}
	o, err := blob.Open(t.Context(), s.producer.Blobs, blob.Ref(*out.BodyRef))
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	hash := sha256.New()
	if n, err := io.Copy(hash, o); err != nil || n != int64(len(data)) || hex.EncodeToString(hash.Sum(nil)) != digestOf(data) {
		t.Errorf("the store has %d bytes, %v, want %d", n, err, len(data))
	}
	if o.ContentType != contentType {
		t.Errorf("the store has content type %q, want %q", o.ContentType, contentType)
	}
}

// historyBytes is the size of all events of an execution.
func (s *stack) historyBytes(t *testing.T, id string) (n int) {
	t.Helper()
	for e, err := range s.producer.Executions.History(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		n += len(text)
	}
	return n
}

// onS3 is a place on emulators of SQS, DynamoDB and S3.
func onS3(t *testing.T, emulator awstest.Emulator) place {
	t.Helper()
	at := onAWS(t, emulator)
	at.blobs = "s3://" + awstest.Name("blobs") + "/fleet"
	setUp(t, backend.Options{Queue: at.queue, Templates: at.templates, Blobs: at.blobs, AWS: at.aws, Logger: evidence.Logger(t)})
	return at
}

// A 50 MB answer, a payload of 5 MB and a binary image go through an execution
// by reference: whole, with little in the history.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]func(t *testing.T) place{
		"nats": func(*testing.T) place { return place{} },
		"aws":  func(t *testing.T) place { return onS3(t, awstest.Moto(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where := at(t)
			where.patience = 2 * time.Minute
			largeBodies(t, startAt(t, where, nil))
		})
	}
}

func largeBodies(t *testing.T, s *stack) {
	large, image := blobtest.Data(50_000_000), append([]byte("\x89PNG\r\n\x1a\n"), blobtest.Data(700_000)...)
	text := strings.Repeat("5 MB of \"naïve\" <text>\n", 5_000_000/24)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = w.Write(large)
		case "/small":
			answer(w, r)
		case "/image":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(image)
		default:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, `{"sha256":%q,"type":%q}`, digestOf(body), r.Header.Get("Content-Type"))
		}
	})
	get := s.put(t, map[string]any{"name": "get", "method": "GET", "url": url + "/{{ what }}"})
	note := s.put(t, map[string]any{"name": "note", "method": "POST", "url": url, "payload": map[string]any{"note": "{{ note }}"}})
	upload := s.put(t, map[string]any{"name": "upload", "method": "PUT", "url": url, "payloadRef": "file"})
	claims := claim.New(claim.Options{})
	claims.Bind(s.producer.Blobs)
	ref, err := claims.PutParam(t.Context(), "test", "image/png", bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(map[string]string{"note": text})
	if err != nil {
		t.Fatal(err)
	}
	want = bytes.NewBuffer(bytes.ReplaceAll(bytes.ReplaceAll(want, []byte(`\u003c`), []byte("<")), []byte(`\u003e`), []byte(">"))).Bytes()
	results := s.run(t, workflow,
		line{get, map[string]any{"what": "large"}},
		line{get, map[string]any{"what": "image"}},
		line{note, map[string]any{"note": text}},
		line{upload, map[string]any{"file": json.RawMessage(call.EncodeRef(ref))}},
		line{get, map[string]any{"what": "small"}},
	)
	wantOK(t, results[4])
	small := s.historyBytes(t, results[4].ID)
	s.wantClaimed(t, results[0], "application/octet-stream", large)
	s.wantClaimed(t, results[1], "image/png", image)
	for i, sent := range [][]byte{want, image} {
		wantOK(t, results[2+i])
		if !strings.Contains(string(results[2+i].Output), digestOf(sent)) {
			t.Errorf("the API got another body: %s", results[2+i].Output)
		}
	}
	if !strings.Contains(string(results[3].Output), "image/png") {
		t.Errorf("the API got another content type: %s", results[3].Output)
	}
	for _, r := range results[:4] {
		n := s.historyBytes(t, r.ID)
		t.Logf("line %d: %d bytes of history, %d of a small call, %d of output", r.Line, n, small, len(r.Output))
		if n > small+8<<10 || len(r.Output) > 2<<10 {
			t.Errorf("line %d: %d bytes of history and %d of output, want little more than the %d of a small call", r.Line, n, len(r.Output), small)
		}
	}
	direct := s.run(t, direct, line{get, map[string]any{"what": "image"}})
	s.wantClaimed(t, direct[0], "image/png", image)
}

// References in params are data from outside.
func TestHostileReferences(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.wantNothingLeft(t, everyQueue...)
	var calls atomic.Int32
	url := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	note := s.put(t, map[string]any{"name": "note", "method": "POST", "url": url, "payload": map[string]any{"note": "{{ v }}"}})
	upload := s.put(t, map[string]any{"name": "upload", "method": "PUT", "url": url, "payloadRef": "v"})
	claims := claim.New(claim.Options{})
	claims.Bind(s.producer.Blobs)
	good, err := claims.PutParam(t.Context(), "test", "text/plain", strings.NewReader("secret"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []line
	for _, url := range []string{
		"file:///etc/passwd", "file://../../../etc/passwd", "nats-object://templates/x", "nats-object://KV_templates/x", "s3://other/x",
		"nats-object://callfleet-blobs/../x", strings.Replace(good.URL, "/params/", "/params/../params/", 1), good.URL + "x",
		"http://169.254.169.254/latest/meta-data", "http://127.0.0.1:4222", "",
	} {
		bad := map[string]any{"v": map[string]any{"$ref": map[string]any{"url": url, "bytes": 6, "sha256": good.SHA256}}}
		lines = append(lines, line{note, bad}, line{upload, bad})
	}
	wrong := good
	wrong.SHA256 = strings.Repeat("0", 64)
	bad := map[string]any{"v": json.RawMessage(call.EncodeRef(wrong))}
	lines = append(lines, line{note, bad}, line{upload, bad})
	for i, r := range s.run(t, workflow, lines...) {
		if r.Status != "FAILED" || r.Error != "Callfleet.BadReference" && r.Error != "Callfleet.RenderFailed" || strings.Contains(r.Cause, "passwd") {
			t.Errorf("line %d: %s %s: %s, want a refusal", i+1, r.Status, r.Error, r.Cause)
		}
	}
	if n := calls.Load(); n > 1 { // the last body breaks off when its digest turns out to be another
		t.Errorf("%d calls were made with references that are not right", n)
	}
}

// A store that cannot be used fails the calls that need it, by name.
func TestBlobStoreThatRefuses(t *testing.T) {
	t.Parallel()
	at := onAWS(t, awstest.Moto(t))
	at.blobs = "s3://" + awstest.Name("never-made")
	s := startAt(t, at, nil)
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(blobtest.Data(300_000)) })
	get := s.put(t, map[string]any{"name": "get", "method": "GET", "url": url})
	wantFailed(t, s.run(t, workflow, line{get, nil})[0], "Callfleet.BlobUnavailable", "no such bucket", "producer setup", "1 attempt")
}

// A request whose deadline has passed is not called.
func TestDeadlineHasPassed(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.wantNothingLeft(t, everyQueue...)
	var calls atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); answer(w, r) })
	get := s.put(t, map[string]any{"name": "get", "method": "GET", "url": url})
	for _, mode := range modes {
		results := s.run(t, mode,
			line{get, due{nil, time.Now().Add(-time.Second)}}, line{get, due{nil, time.Now().Add(time.Hour)}})
		wantFailed(t, results[0], "Callfleet.DeadlineExceeded", "was not called")
		wantOK(t, results[1])
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// Stopping an execution ends its call, soon after.
func TestStoppedExecutionEndsItsCall(t *testing.T) {
	t.Parallel()
	s := startAt(t, place{heartbeat: 4 * time.Second}, nil)
	s.wantNothingLeft(t, everyQueue...)
	began, ended := make(chan struct{}), make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	get := s.put(t, map[string]any{"name": "get", "method": "GET", "url": url, "retry": map[string]any{"maxAttempts": 1}})
	done := make(chan []journal.Result, 1)
	go func() { done <- s.runAs(t, "stopped", workflow, line{get, nil}) }()
	receive(t, began)
	stopped := time.Now()
	if err := s.producer.Executions.Stop(context.WithoutCancel(t.Context()), "stopped-1", "Test.Stopped", "why not"); err != nil {
		t.Fatal(err)
	}
	receive(t, ended)
	took := time.Since(stopped)
	t.Logf("the call ended %s after its execution", took)
	if took > 3*time.Second {
		t.Errorf("the call ended %s after its execution, want less than the 4 s between two heartbeats of a busy worker", took)
	}
	if r := receive(t, done)[0]; r.Status != "ABORTED" || r.Error != "Test.Stopped" {
		t.Errorf("result %+v", r)
	}
}
