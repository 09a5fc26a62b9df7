// Package secrettest is test support: secrets that are known again wherever they
// turn up, and that the whole test run is searched for (scripts/secretscan).
// Every secret that a test gives to the product comes from here; what is not
// one, a vector of a standard or a text of three letters, does not.
package secrettest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"testing"

	"callfleet/internal/evidence"
)

// Marker is in every value of this package. It has letters and digits alone, so
// that no way of escaping changes it.
const Marker = "cfs3cr3tn33dl3"

// Value is a new secret: Marker, and letters and digits that are its own. A test
// puts what a kind of secret needs around it.
func Value(t testing.TB, name string) string {
	value := New()
	Hide(t, name, value)
	return value
}

// New is Value for what has no test yet: whoever uses it hides it.
func New() string { return Marker + random() }

// WebhookKey is a new key for Standard Webhooks.
func WebhookKey(t testing.TB, name string) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(Value(t, name)))
}

// Hide says that a value which a test has from elsewhere is a secret, such as
// the private key of a certificate in PEM.
func Hide(t testing.TB, name, value string) { evidence.Hide(t, name, value) }

// canary is a value that is shown on purpose.
func canary(t testing.TB) string {
	value := New()
	evidence.Canary(t, value)
	return value
}

func random() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
