package auth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"

	"callfleet/internal/blob/fileblob"
	"callfleet/internal/call"
	"callfleet/internal/claim"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/secret/secrettest"
)

// withClaims is a caller that keeps large bodies.
func withClaims(t *testing.T) (*caller, *claim.Checker) {
	t.Helper()
	store, err := fileblob.New(evidence.Dir(t), fileblob.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	claims := claim.New(claim.Options{})
	claims.Bind(store)
	return newCaller(t, map[string]string{"T": "a-" + secrettest.New()}, settings{http: httpcall.Options{Claims: claims}}), claims
}

// An API that echoes a credential in a large body does not get it kept.
func TestKeptAnswersAreScrubbed(t *testing.T) {
	t.Parallel()
	const around = 300 << 10
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		filling := strings.Repeat("-", around)
		_, _ = io.WriteString(w, filling+r.Header.Get("Authorization")+filling)
	})
	c, claims := withClaims(t)
	res := c.must(map[string]any{"url": api, "auth": map[string]string{"type": "bearer", "token": "secret://env/CALLFLEET_SECRET_T"}}, 200)
	if res.BodyRef == nil {
		t.Fatalf("the body travels: %d bytes", len(res.Body))
	}
	body, err := claims.Open(t.Context(), *res.BodyRef)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || strings.Trim(string(got), "-") != "Bearer [secret]" {
		t.Errorf("%d bytes are kept: %q, %v", len(got), strings.Trim(string(got), "-"), err)
	}
}

// An API that echoes a credential does not get it selected, however it is
// written.
func TestSelectionsAreScrubbed(t *testing.T) {
	t.Parallel()
	filling := strings.Repeat("-", 300<<10)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		_, _ = io.WriteString(w, `{"plain":"`+token+`","escaped":"\u0061`+token[1:]+`","filling":"`+filling+`"}`)
	})
	c, claims := withClaims(t)
	auth := map[string]string{"type": "bearer", "token": "secret://env/CALLFLEET_SECRET_T"}
	for _, row := range []struct {
		response map[string]any
		body     string
		kept     string
	}{
		{map[string]any{"select": map[string]string{"p": "$.plain", "e": "$.escaped"}}, `{"e":"[secret]","p":"[secret]"}`, ""},
		{map[string]any{"select": map[string]string{"p": "$.plain", "f": "$.filling"}}, "", `{"f":"` + filling + `","p":"[secret]"}`},
		{map[string]any{"select": map[string]string{"e": "$.escaped", "f": "$.filling"}}, "", `{"e":"[secret]","f":"` + filling + `"}`},
	} {
		res := c.must(map[string]any{"url": api, "auth": auth, "response": row.response}, 200)
		if string(res.Body) != row.body || (res.BodyRef != nil) != (row.kept != "") {
			t.Errorf("body %.100s, reference %v", res.Body, res.BodyRef)
			continue
		}
		if res.BodyRef == nil {
			continue
		}
		body, err := claims.Open(t.Context(), *res.BodyRef)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if body.Close(); err != nil || string(got) != row.kept {
			t.Errorf("kept %.100s, %v", got, err)
		}
	}
}

// A body that is sent by reference is signed by its digest where that is enough.
func TestSignedReferences(t *testing.T) {
	t.Parallel()
	payload := strings.Repeat("p", 300<<10)
	sum := sha256.Sum256([]byte(payload))
	var digest string
	api := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		digest = r.Header.Get("X-Amz-Content-Sha256")
		_, _ = io.Copy(io.Discard, r.Body)
	})
	c, claims := withClaims(t)
	key := secrettest.WebhookKey(t, "K")
	c.secrets.set("K", key)
	ref, err := claims.Keep(t.Context(), "run-1", "text/plain", strings.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	rendered := func(auth call.Auth) call.Rendered {
		return call.Rendered{Method: "PUT", URL: api, BodyRef: &ref, Auth: []call.Auth{auth}}
	}
	sigv4 := call.Auth{Kind: call.AuthSigV4, Region: "us-east-1", Service: "s3", AccessKeyID: "AKID", SecretAccessKey: secrettest.Value(t, "AWS_KEY")}
	if _, err := c.client.Do(t.Context(), rendered(sigv4), "run-1"); err != nil || digest != hex.EncodeToString(sum[:]) {
		t.Errorf("signed with the digest %q, %v", digest, err)
	}
	_, err = c.client.Do(t.Context(), rendered(call.Auth{Kind: call.AuthHMAC, Keys: []string{key}}), "run-1")
	if f, ok := err.(*call.Failure); !ok || f.Name != call.AuthFailed || f.Attempts != 1 || !strings.Contains(f.Cause, "not by reference") {
		t.Errorf("hmac over a reference: %v", err)
	}
}
