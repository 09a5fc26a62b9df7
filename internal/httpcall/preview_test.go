package httpcall

import (
	"bytes"
	"strings"
	"testing"

	"callfleet/internal/call"
	"callfleet/internal/secret"
)

// People read which secret goes where; its mark is for this process alone.
func TestPreviewNamesSecretsInTheURL(t *testing.T) {
	t.Parallel()
	c, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ref := secret.Reference{Kind: secret.Env, Name: "CALLFLEET_SECRET_A"}
	secrets := &call.Secrets{List: []call.Secret{{Mark: ref.Mark(), Reference: ref.String()}}}
	key := call.Auth{Kind: call.AuthAPIKey, Name: "key", In: "query", Value: ref.Mark()}
	for _, tt := range []struct {
		url, want string
		auth      []call.Auth
	}{
		{"https://h/a%2Fb/" + ref.Mark() + "/c?x=" + ref.Mark(), "GET /a%2Fb/[" + ref.String() + "]/c?x=[" + ref.String() + "] HTTP/1.1", nil},
		{"https://h/a%20b?x=1", "GET /a%20b?x=1&key=[" + ref.String() + "] HTTP/1.1", []call.Auth{key}},
		{"https://h", "GET /?key=[" + ref.String() + "] HTTP/1.1", []call.Auth{key}},
	} {
		request, err := c.Preview(call.Rendered{Method: "GET", URL: tt.url, Secrets: secrets, Auth: tt.auth}, "id")
		if err != nil {
			t.Fatalf("%s: %v", tt.url, err)
		}
		var out bytes.Buffer
		if err := request.Write(&out); err != nil {
			t.Fatalf("%s: %v", tt.url, err)
		}
		if line, rest, _ := strings.Cut(out.String(), "\r\n"); line != tt.want || !strings.HasPrefix(rest, "Host: h\r\n") {
			t.Errorf("%s: got %s, want %s", tt.url, out.String(), tt.want)
		}
	}
}

// The length that is shown is that of the body that is sent, not of the words in
// its place.
func TestPreviewTellsTheTrueLength(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{})
	ref := call.BlobRef{URL: "s3://b/k", Bytes: 5 << 20, SHA256: strings.Repeat("0", 64)}
	token := secret.Reference{Kind: secret.Env, Name: "CALLFLEET_SECRET_T"}
	mark := token.Mark()
	secrets := &call.Secrets{List: []call.Secret{{Mark: mark, Reference: token.String()}}}
	for name, tt := range map[string]struct {
		r    call.Rendered
		want string
	}{
		"plain":             {call.Rendered{Body: []byte("a\r\nContent-Length: 5\r\n")}, "22"},
		"by reference":      {call.Rendered{BodyRef: &ref}, "5242880"},
		"with a file in it": {call.Rendered{Body: []byte("ab"), Inserts: []call.Insert{{At: 1, Ref: ref}}}, "5242882"},
		"with a secret":     {call.Rendered{Body: []byte("a=" + mark), Secrets: secrets}, ""},
		"secrets elsewhere": {call.Rendered{Body: []byte("a=1"), Secrets: secrets}, "3"},
	} {
		tt.r.Method, tt.r.URL = "POST", "http://h.example/"
		var out bytes.Buffer
		if err := c.WritePreview(&out, tt.r, "id"); err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(out.String(), "\r\n\r\n")
		_, length, _ := strings.Cut(head, "\r\nContent-Length: ")
		if length, _, _ = strings.Cut(length, "\r\n"); length != tt.want || strings.Count(head, "Content-Length") > 1 {
			t.Errorf("%s: length %q, want %q", name, length, tt.want)
		}
	}
}
