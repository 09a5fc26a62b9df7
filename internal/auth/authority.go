// Package auth puts secrets and credentials into a request at the last moment:
// on every attempt, on the way out. What comes before has marks in place of
// secrets; what comes after is the wire.
package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"callfleet/internal/call"
	"callfleet/internal/fresh"
	"callfleet/internal/secret"
)

// Options are the settings of an Authority.
type Options struct {
	// Secrets resolves references; it is closed with the Authority.
	Secrets *secret.Resolver
	// Signer signs for AWS; nil fails every call that asks for it.
	Signer Signer
	// TokenTimeout bounds one request to a token endpoint. Default 15 s.
	TokenTimeout time.Duration
	// TokenMinAge is how old a token has to be for a 401 to be its fault: an API
	// that refuses every token would otherwise have one fetched for each call.
	// Default 5 s.
	TokenMinAge time.Duration
}

// Signer signs requests by AWS Signature Version 4. It is an interface so that
// a program which makes calls and nothing else need not carry the AWS SDK.
type Signer interface {
	// Sign sets the headers that prove who sends req, whose body has the given
	// SHA-256, in hex. It may fetch credentials, and is safe for concurrent use.
	Sign(ctx context.Context, req *http.Request, bodySHA256 string, keys AWSKeys) error
}

// AWSKeys are what a template says of its AWS credentials.
type AWSKeys struct {
	AccessKeyID                   string // "" is the worker's own credentials
	SecretAccessKey, SessionToken secret.Value
	Region, Service               string
}

// Authority has what requests need to be let in. Its methods are safe for
// concurrent use.
type Authority struct {
	options    Options
	tokens     *fresh.Cache[tokenKey, token]
	identities identities
}

// New makes an Authority; it fetches nothing.
func New(o Options) *Authority {
	o.TokenMinAge = cmp.Or(o.TokenMinAge, 5*time.Second)
	return &Authority{
		options: o,
		tokens:  fresh.New[tokenKey, token](fresh.Options{Timeout: cmp.Or(o.TokenTimeout, 15*time.Second)}),
	}
}

// Close ends fetches under way and waits for them.
func (a *Authority) Close() {
	a.tokens.Close()
	a.options.Secrets.Close()
}

// Error says why a request was not sent. It shows no secret.
type Error struct {
	Reason    string // one line
	Permanent bool   // another attempt would end the same way
	err       error
}

// Error is the reason.
func (e *Error) Error() string { return e.Reason }

// Unwrap is the cause, which may quote secrets and is for errors.As alone.
func (e *Error) Unwrap() error { return e.err }

func refuse(reason string) error { return &Error{Reason: reason, Permanent: true} }

// Grant is what one attempt was given.
type Grant struct {
	// Identity is the client certificate; nil is none.
	Identity *Identity

	secrets []call.Secret
	values  []secret.Value // of secrets, in their order
	derived []string       // credentials that were made of them
	token   *tokenUse
	headers []string // that a secret of the template was put into
	body    bool     // the body holds a secret
}

// InBody reports whether the body that was sent holds a secret.
func (g *Grant) InBody() bool { return g.body }

// Needed reports whether r has anything that Apply must do.
func Needed(r call.Rendered) bool { return r.Secrets != nil || len(r.Auth) > 0 }

// Apply resolves the secrets of r and puts them and the credentials of r.Auth
// into req, which is r as it will be sent, with marks; req, its header and URL
// are the caller's to have changed. Token endpoints are reached through via.
// The error is an *Error, or the cause of ctx.
func (a *Authority) Apply(ctx context.Context, req *http.Request, r call.Rendered, via http.RoundTripper) (*Grant, error) {
	g := &Grant{}
	if r.Secrets != nil {
		g.secrets = r.Secrets.List
		g.values = make([]secret.Value, len(g.secrets))
		for i, s := range g.secrets {
			v, err := a.options.Secrets.Get(ctx, s.Reference)
			if err != nil {
				return nil, unresolved(err)
			}
			g.values[i] = v
		}
	}
	body, err := g.fillRequest(req, r)
	if err != nil {
		return nil, err
	}
	for _, last := range []bool{false, true} { // a signature is over all else
		for i := range r.Auth {
			if (r.Auth[i].Kind == call.AuthSigV4) != last {
				continue
			}
			if err := a.apply(ctx, g, &use{req, body, r.BodyRef, &r.Auth[i], via}); err != nil {
				return nil, err
			}
		}
	}
	return g, nil
}

func unresolved(err error) error {
	if e, ok := err.(*secret.Error); ok {
		return &Error{Reason: "resolve " + e.Error(), Permanent: e.Permanent}
	}
	return err // the caller's context ended, or the program stops
}

// use is one kind of auth for one attempt.
type use struct {
	req  *http.Request
	body []byte
	ref  *call.BlobRef // the body, when it is kept elsewhere
	auth *call.Auth
	via  http.RoundTripper
}

// digest is the body's SHA-256, in hex.
func (u *use) digest() string {
	if u.ref != nil {
		return u.ref.SHA256
	}
	sum := sha256.Sum256(u.body)
	return hex.EncodeToString(sum[:])
}

func (a *Authority) apply(ctx context.Context, g *Grant, u *use) error {
	switch u.auth.Kind {
	case call.AuthBasic:
		return g.basic(u)
	case call.AuthBearer:
		return setHeader(u.req, "Authorization", "Bearer "+g.fill(u.auth.Token))
	case call.AuthAPIKey:
		return g.apiKey(u)
	case call.AuthOAuth2:
		return a.oauth2(ctx, g, u)
	case call.AuthHMAC:
		return g.webhook(u)
	case call.AuthSigV4:
		return a.sigV4(ctx, g, u)
	case call.AuthMTLS:
		id, err := a.identities.get(g.fill(u.auth.Certificate), g.fill(u.auth.Key), g.fill(u.auth.CA))
		g.Identity = id
		return err
	}
	return refuse("auth of type " + string(u.auth.Kind) + " is unknown to this worker")
}

func (a *Authority) sigV4(ctx context.Context, g *Grant, u *use) error {
	if a.options.Signer == nil {
		return refuse("auth sigv4: this program does not sign for AWS")
	}
	keys := AWSKeys{
		AccessKeyID: g.fill(u.auth.AccessKeyID), SecretAccessKey: secret.Of(g.fill(u.auth.SecretAccessKey)),
		SessionToken: secret.Of(g.fill(u.auth.SessionToken)), Region: g.fill(u.auth.Region), Service: g.fill(u.auth.Service),
	}
	if keys.AccessKeyID == "" && !a.options.Secrets.Allow().WorkerAWS() {
		return refuse("auth sigv4: templates may not sign as this worker: name accessKeyId and secretAccessKey, or list " +
			secret.WorkerAWS + " in CALLFLEET_SECRETS_ALLOW")
	}
	if err := a.options.Signer.Sign(ctx, u.req, u.digest(), keys); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &Error{Reason: "auth sigv4: the request could not be signed: no AWS credentials", err: err}
	}
	return nil
}
