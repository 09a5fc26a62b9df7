package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// webhook signs as Standard Webhooks says: HMAC-SHA256 over "id.timestamp.body",
// one signature for each key. The id is the Idempotency-Key, the same on every
// attempt; the timestamp is the attempt's own.
func (g *Grant) webhook(u *use) error {
	if u.ref != nil {
		return refuse("auth hmac: the signature is over the whole body, and this one is kept elsewhere: give it as a payload or a text, not by reference")
	}
	id := u.req.Header.Get("Idempotency-Key")
	if id == "" {
		id = "msg_" + rand.Text()
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	var signatures []byte
	for _, text := range u.auth.Keys {
		key, err := webhookKey(g.fill(text))
		if err != nil {
			return err
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(u.body)
		if len(signatures) > 0 {
			signatures = append(signatures, ' ')
		}
		signatures = append(signatures, "v1,"...)
		signatures = base64.StdEncoding.AppendEncode(signatures, mac.Sum(nil))
	}
	u.req.Header.Set("Webhook-Id", id)
	u.req.Header.Set("Webhook-Timestamp", timestamp)
	u.req.Header.Set("Webhook-Signature", string(signatures))
	return nil
}

// webhookKey decodes whsec_ and base64 (Standard Webhooks, "Signature scheme").
func webhookKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	switch {
	case err != nil:
		return nil, refuse("auth hmac: a key is not whsec_ and base64")
	case len(key) < 16:
		return nil, refuse("auth hmac: a key has less than 16 bytes; Standard Webhooks asks for 24 to 64")
	}
	return key, nil
}
