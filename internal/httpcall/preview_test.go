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
