package auth_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"callfleet/internal/call"
)

// echo answers with the credential, in the encoding that the path names and
// whatever the call asks for, with the status and the filling of the query.
func echo(t *testing.T) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		coding := strings.TrimPrefix(r.URL.Path, "/")
		pack := io.WriteCloser(zlib.NewWriter(&body)) // no secret is seen in it, which is what counts
		if strings.HasSuffix(coding, "gzip") {
			pack = gzip.NewWriter(&body)
		}
		fmt.Fprintf(pack, `{"auth": %q}`, r.Header.Get("Authorization"))
		pack.Close()
		w.Header()["Content-Encoding"] = strings.Split(coding, "+")
		if r.FormValue("empty") != "" {
			body.Reset()
		}
		var status int
		if _, err := fmt.Sscan(r.FormValue("status"), &status); err == nil {
			w.WriteHeader(status)
		}
		w.Write(append(body.Bytes(), r.FormValue("filling")...))
	})
}

// An answer is passed on only if the secrets of its call could be seen in it.
func TestEncodedAnswers(t *testing.T) {
	t.Parallel()
	url := echo(t)
	c, _ := withClaims(t)
	bearer := of("bearer", "token", env("T"))
	const clean = `{"auth": "Bearer [secret]"}`
	for name, row := range map[string]struct {
		path     string
		fields   map[string]any
		body     string           // "" for a failure
		failure  call.FailureName // with the cause "answered …"
		attempts int
	}{
		"gzip":                       {"/gzip", nil, clean, "", 1},
		"gzip by another name":       {"/x-gzip", nil, clean, "", 1},
		"the template asks for gzip": {"/gzip", map[string]any{"headers": map[string]any{"accept-encoding": "gzip"}}, clean, "", 1},
		"the template asks for none": {"/gzip", map[string]any{"headers": map[string]any{"Accept-Encoding": "identity"}}, clean, "", 1},
		"a part of gzip":             {"/gzip", map[string]any{"headers": map[string]any{"Range": "bytes=0-99"}}, "", call.ResponseEncoded, 1},
		"br":                         {"/br", nil, "", call.ResponseEncoded, 1},
		"br and gzip":                {"/br+gzip", nil, "", call.ResponseEncoded, 1},
		"br behind identity":         {"/identity+br", nil, "", call.ResponseEncoded, 1},
		"br, selected":               {"/br", map[string]any{"response": map[string]any{"select": "$.auth"}}, "", call.ResponseEncoded, 1},
		"br, required":               {"/br", map[string]any{"response": map[string]any{"select": "$.auth", "required": true}}, "", call.ResponseEncoded, 1},
		"br, by reference":           {"/br", map[string]any{"response": map[string]any{"body": "ref"}}, "", call.ResponseEncoded, 1},
		"br of an error":             {"/br?status=400", nil, "", call.ResponseEncoded, 1},
		"br of an error with a name": {"/br?status=404", map[string]any{"response": map[string]any{"status": map[string]any{"404": "NotFound"}}}, "", "NotFound", 1},
		"br, tried again":            {"/br?status=500", map[string]any{"retry": map[string]any{"maxAttempts": 2}}, "", call.ResponseEncoded, 2},
		"br of nothing":              {"/br?status=204&empty=1", nil, `""`, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields := map[string]any{"url": url + row.path, "auth": bearer}
			for k, v := range row.fields {
				fields[k] = v
			}
			c := *c
			c.t = t
			if row.failure != "" {
				if f := c.fails(fields, row.failure, "answered "); f.Attempts != row.attempts {
					t.Errorf("%d attempts, want %d", f.Attempts, row.attempts)
				}
				return
			}
			if res, err := c.do(fields, "{}"); err != nil || string(res.Body) != row.body || res.BodyRef != nil {
				t.Errorf("answer %d %s, %v, want %s", res.StatusCode, res.Body, err, row.body)
			}
		})
	}
	t.Run("without its body", func(t *testing.T) {
		t.Parallel()
		c := *c
		c.t = t
		if res := c.must(map[string]any{"url": url + "/br", "auth": bearer, "response": map[string]any{"body": "none"}}, 200); res.Body != nil {
			t.Errorf("body %s", res.Body)
		}
	})
	t.Run("without secrets", func(t *testing.T) {
		t.Parallel()
		c := *c
		c.t = t
		res := c.must(map[string]any{"url": url + "/br"}, 200)
		got, err := base64.StdEncoding.DecodeString(strings.Trim(string(res.Body), `"`))
		if err != nil || res.BodyEncoding != "base64" || res.Headers["Content-Encoding"] != "br" {
			t.Fatalf("body %s in %q, %v", res.Body, res.BodyEncoding, err)
		}
		z, err := zlib.NewReader(bytes.NewReader(got))
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := io.ReadAll(z); err != nil || string(plain) != `{"auth": ""}` {
			t.Errorf("body %s, %v", plain, err)
		}
	})
	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		c := *c
		c.t = t
		c.fails(map[string]any{"url": url + "/br?filling=" + strings.Repeat("-", 10_000), "auth": bearer,
			"response": map[string]any{"body": "ref"}}, call.ResponseEncoded, "answered 200 in br")
	})
}
