package auth

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"sync"
)

// Identity is a client certificate, and whom it trusts.
type Identity struct {
	// ID tells identities apart, also a certificate from the one that came
	// after it under the same name.
	ID          [sha256.Size]byte
	Certificate tls.Certificate
	Roots       *x509.CertPool // nil is the system's
}

// maxIdentities bounds what is kept.
const maxIdentities = 256

// identities are those that were read before: reading one takes as long as a
// request.
type identities struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*Identity // guarded by mu
}

func (s *identities) get(certificate, key, ca string) (*Identity, error) {
	h := sha256.New()
	for _, part := range []string{certificate, "\x00", key, "\x00", ca} {
		h.Write([]byte(part))
	}
	var id [sha256.Size]byte
	h.Sum(id[:0])
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[id]; known != nil {
		return known, nil
	}
	made, err := readIdentity(certificate, key, ca)
	if err != nil {
		return nil, err
	}
	made.ID = id
	if s.known == nil || len(s.known) >= maxIdentities {
		s.known = map[[sha256.Size]byte]*Identity{}
	}
	s.known[id] = made
	return made, nil
}

// readIdentity shows nothing of the key in its errors.
func readIdentity(certificate, key, ca string) (*Identity, error) {
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return nil, refuse("auth mtls: certificate and key are no pair in PEM")
	}
	made := &Identity{Certificate: pair}
	if ca != "" {
		made.Roots = x509.NewCertPool()
		if !made.Roots.AppendCertsFromPEM([]byte(ca)) {
			return nil, refuse("auth mtls: ca holds no certificate in PEM")
		}
	}
	return made, nil
}
