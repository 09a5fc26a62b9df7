package auth_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"callfleet/internal/call"
	"callfleet/internal/secret/secrettest"
)

// The reference verifier accepts each key of a rotation, over the very bytes,
// and on every attempt.
func TestStandardWebhooks(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	type seen struct {
		header http.Header
		body   []byte
	}
	got := make(chan seen, 3)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Header, body}
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	newKey, oldKey := secrettest.WebhookKey(t, "NEW"), secrettest.WebhookKey(t, "OLD")
	c := newCaller(t, map[string]string{"NEW": newKey, "OLD": oldKey, "TOKEN": apiToken}, settings{})
	res := c.must(map[string]any{
		"url": url, "payload": "{\"a\" : \"ü\", \"t\": \"{{ \"" + env("TOKEN") + "\"|secret }}\"}\n",
		"auth": map[string]any{"type": "hmac", "keys": []string{env("NEW"), env("OLD")}},
	}, 200)
	if res.Attempts != 2 {
		t.Fatalf("%d attempts, want 2", res.Attempts)
	}
	for range 2 {
		s := <-got
		for _, key := range []string{newKey, oldKey} {
			verifier, err := webhooks.NewWebhook(key)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(s.body, s.header); err != nil {
				t.Errorf("%v: %v", s.header, err)
			}
			if err := verifier.Verify(append(s.body, ' '), s.header); err == nil {
				t.Error("another body is accepted")
			}
		}
		other, _ := webhooks.NewWebhook(secrettest.WebhookKey(t, "none of them"))
		if err := other.Verify(s.body, s.header); err == nil {
			t.Error("another key is accepted")
		}
		if s.header.Get("webhook-id") != "run-1" || !strings.Contains(string(s.body), apiToken) {
			t.Errorf("id %s, body %s", s.header.Get("webhook-id"), s.body)
		}
	}
}

func TestWebhookWithoutBody(t *testing.T) {
	t.Parallel()
	key := secrettest.WebhookKey(t, "KEY")
	verifier, err := webhooks.NewWebhook(key)
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if err := verifier.Verify(nil, r.Header); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	c := newCaller(t, map[string]string{"KEY": key, "SHORT": "whsec_YWJj", "TEXT": "not base64!!"}, settings{})
	c.must(map[string]any{"url": url, "method": "GET", "auth": of("hmac", "keys", env("KEY"))}, 200)
	c.fails(map[string]any{"url": url, "auth": of("hmac", "keys", env("SHORT"))}, call.AuthFailed, "less than 16 bytes")
	c.fails(map[string]any{"url": url, "auth": of("hmac", "keys", env("TEXT"))}, call.AuthFailed, "not whsec_ and base64")
}
