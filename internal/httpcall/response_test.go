package httpcall

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/template/itemjson"
	"callfleet/internal/template/response"
)

// answered is what a template wants of the answer.
func answered(t *testing.T, text string) *call.Response {
	t.Helper()
	item, err := itemjson.FromPlain([]byte(`{"name": "n", "method": "GET", "response": ` + text + `}`))
	if err != nil {
		t.Fatal(err)
	}
	attributes, err := itemjson.Decode(item)
	if err != nil {
		t.Fatal(err)
	}
	return response.Parse(attributes.Get("response"), func(attribute string, _ int, message string) {
		t.Errorf("%s: %s", attribute, message)
	})
}

// chat is an answer of an LLM with size bytes beside its text.
func chat(size int) []byte {
	return []byte(`{"choices": [{"message": {"content": "forty-two"}}], "usage": {"total_tokens": 17}, "trace": "` + strings.Repeat("x", size) + `"}`)
}

const wantOfChat = `{"select": {"answer": "$.choices[0].message.content", "tokens": "$.usage.total_tokens"}, "required": ["answer"]}`

func TestSelection(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		response string
		write    func(http.ResponseWriter)
		want     string // the body; "" is none
		kept     string // the body that is kept; "" is none
	}{
		"small":   {wantOfChat, plain(chat(10)), `{"answer":"forty-two","tokens":17}`, ""},
		"2 MB":    {wantOfChat, plain(chat(2_000_000)), `{"answer":"forty-two","tokens":17}`, ""},
		"chunked": {wantOfChat, func(w http.ResponseWriter) { w.(http.Flusher).Flush(); w.Write(chat(2_000_000)) }, `{"answer":"forty-two","tokens":17}`, ""},
		"gzip":    {wantOfChat, func(w http.ResponseWriter) { writeGzip(w, chat(2_000_000)) }, `{"answer":"forty-two","tokens":17}`, ""},
		"and the whole is kept": {`{"select": "$.choices[0].message.content", "body": "ref"}`, plain(chat(300)),
			`"forty-two"`, string(chat(300))},
		"a selection that is too large":                        {`{"select": {"t": "$.trace"}}`, plain(chat(300_000)), "", `{"t":"` + strings.Repeat("x", 300_000) + `"}`},
		"a selection that is too large, and the whole is kept": {`{"select": {"t": "$.trace"}, "body": "ref"}`, plain(chat(300_000)), "", string(chat(300_000))},
		"too large to select from":                             {`{"select": {"t": "$.trace"}}`, plain(chat(9 << 20)), `{"t":null}`, string(chat(9 << 20))},
		"too large, gzip":                                      {`{"select": {"t": "$.trace"}}`, func(w http.ResponseWriter) { writeGzip(w, chat(9<<20)) }, `{"t":null}`, string(chat(9 << 20))},
		"not JSON":                                             {`{"select": {"t": "$.trace"}}`, plain([]byte("<html>")), `{"t":null}`, ""},
		"an error's page":                                      {wantOfChat, func(w http.ResponseWriter) { w.WriteHeader(400); w.Write([]byte(`{"error": "no"}`)) }, `{"error": "no"}`, ""},
		"an error that is accepted":                            {`{"select": "$.error", "status": {"409": "ok"}}`, func(w http.ResponseWriter) { w.WriteHeader(409); w.Write([]byte(`{"error": "no"}`)) }, `"no"`, ""},
		"by reference":                                         {`{"body": "ref"}`, plain([]byte("tiny")), "", "tiny"},
		"by reference, gzip":                                   {`{"body": "ref"}`, func(w http.ResponseWriter) { writeGzip(w, []byte("tiny")) }, "", "tiny"},
		"by reference, no body":                                {`{"body": "ref"}`, func(w http.ResponseWriter) { w.WriteHeader(204) }, `""`, ""},
		"by reference, an error":                               {`{"body": "ref"}`, func(w http.ResponseWriter) { w.WriteHeader(404); w.Write([]byte("gone")) }, `"gone"`, ""},
		"none":                                                 {`{"body": "none"}`, plain(chat(2_000_000)), "", ""},
		"none of an error":                                     {`{"body": "none"}`, func(w http.ResponseWriter) { w.WriteHeader(404); w.Write([]byte("gone")) }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { row.write(w) })
			checker := files(t)
			c := newClient(t, Options{Claims: checker})
			res, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s, Response: answered(t, row.response)}, "run-1")
			if err != nil {
				t.Fatal(err)
			}
			if string(res.Body) != row.want {
				t.Errorf("body %.100s, want %.100s", res.Body, row.want)
			}
			if (res.BodyRef != nil) != (row.kept != "") {
				t.Fatalf("reference %+v", res.BodyRef)
			}
			if row.kept != "" && contents(t, checker, res) != row.kept {
				t.Error("another body is kept")
			}
			if _, err := call.EncodeResult(res, 256<<10); err != nil {
				t.Error(err)
			}
		})
	}
}

func plain(body []byte) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body)
	}
}

func contents(t *testing.T, checker *claim.Checker, res call.Result) string {
	t.Helper()
	r, err := checker.Open(t.Context(), *res.BodyRef)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Without a store too, a large answer may be selected from.
func TestSelectionWithoutAStore(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		plain(chat(map[string]int{"/2MB": 2_000_000, "/9MB": 9 << 20}[r.URL.Path]))(w)
	})
	c := newClient(t, Options{})
	res, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s + "/2MB", Response: answered(t, wantOfChat)}, "")
	if err != nil || string(res.Body) != `{"answer":"forty-two","tokens":17}` {
		t.Errorf("got %.100s, %v", res.Body, err)
	}
	_, err = c.Do(t.Context(), call.Rendered{Method: "GET", URL: s + "/9MB", Response: answered(t, `{"select": "$.usage"}`)}, "")
	wantFailed(t, err, call.ResponseTooLarge, "larger than")
	_, err = c.Do(t.Context(), call.Rendered{Method: "GET", URL: s + "/2MB", Response: answered(t, `{"select": "$.trace"}`)}, "")
	wantFailed(t, err, call.ResponseTooLarge, "larger than 204800 bytes")
}

// Answers that the template takes for failures are failures, after as many
// attempts as ever.
func TestAnswersThatFail(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var status int
		fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.WriteHeader(status)
		w.Write([]byte(`{"secret": "do not show"}`))
	})
	const table = `{"status": {"404": "NotFound", "4xx": "Refused", "409": "ok", "202": "NotReady", "503": "Down"}}`
	for _, row := range []struct {
		response, path string
		want           call.FailureName
		says           string
		attempts       int32
	}{
		{table, "/404", "NotFound", "answered 404 (1 attempt", 1},
		{table, "/418", "Refused", "answered 418 (1 attempt", 1},
		{table, "/202", "NotReady", "answered 202 (1 attempt", 1},
		{table, "/503", "Down", "answered 503 (3 attempts", 3},
		{wantOfChat, "/200", call.SelectFailed, "answered 200, and the body has no $.choices[0].message.content (1 attempt", 1},
		{wantOfChat, "/204", call.SelectFailed, "answered 204, and the body is not JSON", 1},
	} {
		calls.Store(0)
		c := newClient(t, Options{MaxAttempts: 3, BaseDelay: time.Millisecond})
		_, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s + row.path, Response: answered(t, row.response)}, "run-1")
		wantFailed(t, err, row.want, row.says)
		if f := failure(t, err); f.Attempts != int(row.attempts) || calls.Load() != row.attempts {
			t.Errorf("%s: %d calls, %d attempts told", row.path, calls.Load(), f.Attempts)
		}
	}
	for path, ok := range map[string]bool{"/409": true, "/200": false, "/301": false} {
		res, err := newClient(t, Options{}).Do(t.Context(), call.Rendered{Method: "GET", URL: s + path, Response: answered(t, table)}, "run-1")
		if err != nil || res.OK != ok || !bytes.Contains(res.Body, []byte("do not show")) {
			t.Errorf("%s: got %+v, %v", path, res, err)
		}
		if out, _ := json.Marshal(res); bytes.Contains(out, []byte(`"ok":true`)) != ok {
			t.Errorf("%s: output %s", path, out)
		}
	}
}

// It is known before the call that nothing can be kept.
func TestNoPlaceToKeep(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	for _, claims := range []Claims{nil, claim.New(claim.Options{})} {
		_, err := newClient(t, Options{Claims: claims}).Do(t.Context(), call.Rendered{Method: "GET", URL: s, Response: answered(t, `{"body": "ref"}`)}, "run-1")
		wantFailed(t, err, call.BlobUnavailable, "CALLFLEET_BLOBS")
	}
	if calls.Load() != 0 {
		t.Error("the API was called")
	}
}

func TestHeadersShown(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("X-RateLimit-Limit", "10")
		w.Header().Add("X-RateLimit-Left", "9")
		w.Header().Add("Set-Cookie", "a=b")
	})
	res, err := newClient(t, Options{}).Do(t.Context(), call.Rendered{Method: "GET", URL: s, Response: answered(t, `{"headers": ["x-ratelimit-*", "ETag"]}`)}, "")
	if err != nil || len(res.Headers) != 2 || res.Headers["X-Ratelimit-Left"] != "9" {
		t.Errorf("got %v, %v", res.Headers, err)
	}
	res, err = newClient(t, Options{}).Do(t.Context(), call.Rendered{Method: "HEAD", URL: s, Response: answered(t, `{"headers": [], "select": "$"}`)}, "")
	if out, _ := json.Marshal(res); err != nil || !bytes.Contains(out, []byte(`"headers":{}`)) {
		t.Errorf("got %s, %v", out, err)
	}
}

// Answers are held to select from within bounds: those that have no room wait,
// and get it.
func TestSelectionWaitsForRoom(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { plain(chat(500_000))(w) })
	c := newClient(t, Options{})
	if err := c.selecting.Acquire(t.Context(), maxSelecting); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s, Response: answered(t, wantOfChat)}, "")
		done <- err
	}()
	_, err := c.Do(within(t, 300*time.Millisecond), call.Rendered{Method: "GET", URL: s, Response: answered(t, wantOfChat)}, "")
	wantFailed(t, err, call.DeadlineExceeded, "")
	select {
	case err := <-done:
		t.Fatalf("selected without room: %v", err)
	default:
	}
	c.selecting.Release(maxSelecting)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !c.selecting.TryAcquire(maxSelecting) {
		t.Error("room was not given back")
	}
}

// A connection goes on after what was not read, unless that is long.
func TestConnectionsOutliveWhatIsNotRead(t *testing.T) {
	t.Parallel()
	for text, response := range map[string]string{"none": `{"body": "none"}`, "selected": wantOfChat, "failed": `{"status": {"200": "Wrong"}}`} {
		var mu sync.Mutex
		remotes := map[string]bool{} // guarded by mu
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			remotes[r.RemoteAddr] = true
			mu.Unlock()
			if text == "selected" {
				writeGzip(w, chat(1<<20))
				return
			}
			w.Write(chat(20_000))
		})
		c := newClient(t, Options{})
		for range 3 {
			if _, err := c.Do(t.Context(), call.Rendered{Method: "GET", URL: s, Response: answered(t, response)}, ""); err != nil && text != "failed" {
				t.Fatal(err)
			}
		}
		mu.Lock()
		if len(remotes) != 1 {
			t.Errorf("%s: %d connections", text, len(remotes))
		}
		mu.Unlock()
	}
}
