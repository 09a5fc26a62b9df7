package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

// Scheme begins every reference.
const Scheme = "secret://"

// The kinds of references: where the secret is kept.
const (
	Env            = "env"            // a variable of the worker's environment
	File           = "file"           // a file below the worker's directory of secrets
	SecretsManager = "secretsmanager" // AWS Secrets Manager
	SSM            = "ssm"            // AWS Systems Manager Parameter Store
)

// maxReference bounds a reference in bytes.
const maxReference = 1024

// Reference says where a secret is: secret://KIND/NAME, and in Secrets Manager
// #KEY for one member of a secret that is a JSON object.
type Reference struct{ Kind, Name, Key string }

// String is the reference as it is written. It is no secret.
func (r Reference) String() string {
	s := Scheme + r.Kind + "/" + r.Name
	if r.Key != "" {
		s += "#" + r.Key
	}
	return s
}

// Is reports whether text looks like a reference.
func Is(text string) bool { return strings.HasPrefix(text, Scheme) }

// Parse reads a reference.
func Parse(text string) (Reference, error) {
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return Reference{}, errors.New("a secret is named by a reference such as secret://env/CALLFLEET_SECRET_NAME")
	}
	if len(text) > maxReference {
		return Reference{}, fmt.Errorf("the reference has %d bytes, at most %d are allowed", len(text), maxReference)
	}
	kind, name, _ := strings.Cut(rest, "/")
	r := Reference{Kind: kind, Name: name}
	if kind == SecretsManager {
		var keyed bool
		if r.Name, r.Key, keyed = strings.Cut(name, "#"); keyed && (r.Key == "" || !only(r.Key, keyMarks)) {
			return Reference{}, errors.New("after # a reference has the name of a member: letters, digits and " + keyMarks)
		}
	}
	if err := r.check(); err != nil {
		return Reference{}, err
	}
	return r, nil
}

const keyMarks = "_.-@:/"

func (r Reference) check() error {
	switch r.Kind {
	case Env:
		if r.Name == "" || '0' <= r.Name[0] && r.Name[0] <= '9' || !only(r.Name, "_") {
			return errors.New("secret://env/NAME takes the name of a variable: letters, digits and _")
		}
	case File:
		if r.Name == "." || !fs.ValidPath(r.Name) || !only(r.Name, "_.-/") {
			return errors.New("secret://file/PATH takes a path below the directory of secrets: letters, digits and _ . - /, no . or .. as a part of it")
		}
	case SecretsManager:
		if r.Name == "" || !only(r.Name, "/_+=.@:-") {
			return errors.New("secret://secretsmanager/NAME takes the name or ARN of a secret: letters, digits and / _ + = . @ : -")
		}
	case SSM:
		if r.Name == "" || !only(r.Name, "/_.-") {
			return errors.New("secret://ssm/NAME takes the name of a parameter: letters, digits and / _ . -")
		}
	default:
		return errors.New("a reference begins with secret://env/, secret://file/, secret://secretsmanager/ or secret://ssm/")
	}
	return nil
}

// only reports whether s is of ASCII letters, digits and marks.
func only(s, marks string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}

// markKey makes marks that nobody outside the process can guess.
var markKey = sync.OnceValue(func() [32]byte {
	var key [32]byte
	_, _ = rand.Read(key[:]) // it never fails
	return key
})

// Mark stands for the secret in a rendered request until it is sent: letters
// and digits, which no escaping changes. A param cannot hold it by chance or
// intent, for it is a hash under a key of this process.
func (r Reference) Mark() string {
	key := markKey()
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(r.String()))
	return MarkPrefix + hex.EncodeToString(h.Sum(nil)[:20])
}

// MarkPrefix begins every mark.
const MarkPrefix = "callfleetsecret"
