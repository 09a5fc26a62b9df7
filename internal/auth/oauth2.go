package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"callfleet/internal/fresh"
)

// tokenKey tells tokens apart. The client's secret is part of it: who does not
// have it gets no token that was fetched with it, and a new secret a new token.
type tokenKey struct {
	url, client, scopes, audience, style string
	secret                               [sha256.Size]byte
}

type token struct {
	header  string // "Bearer …"
	value   string
	fetched time.Time
}

// tokenUse is the token that an attempt was sent with.
type tokenUse struct {
	key tokenKey
	token
}

// Expiry of tokens.
const (
	// tokenUnsaid is how long a token is used whose endpoint says nothing of it.
	tokenUnsaid = time.Hour
	// tokenAhead is how long before expiry a new token is fetched, at most; it
	// is a fifth of a short life.
	tokenAhead = 5 * time.Minute
)

func (a *Authority) oauth2(ctx context.Context, g *Grant, u *use) error {
	secret := g.fill(u.auth.ClientSecret)
	key := tokenKey{
		url: u.auth.TokenURL, client: g.fill(u.auth.ClientID), scopes: g.fill(u.auth.Scopes), audience: g.fill(u.auth.Audience),
		style: u.auth.ClientAuth, secret: sha256.Sum256([]byte(secret)),
	}
	t, err := a.tokens.Get(ctx, key, func(ctx context.Context) (fresh.Item[token], error) {
		return fetchToken(ctx, key, secret, u.via)
	})
	if err != nil {
		return err
	}
	g.token = &tokenUse{key, t}
	return setHeader(u.req, "Authorization", t.header)
}

// Refused is told of an answer of 401. It reports whether a new token may
// change that, and forgets the old one.
func (a *Authority) Refused(g *Grant) bool {
	if g == nil || g.token == nil || time.Since(g.token.fetched) < a.options.TokenMinAge {
		return false
	}
	a.tokens.Drop(g.token.key, func(t token) bool { return t.value == g.token.value })
	return true
}

func fetchToken(ctx context.Context, key tokenKey, secret string, via http.RoundTripper) (fresh.Item[token], error) {
	cfg := clientcredentials.Config{
		ClientID: key.client, ClientSecret: secret, TokenURL: key.url, Scopes: strings.Fields(key.scopes),
		AuthStyle: oauth2.AuthStyleInHeader, // never both in turn: that would be two requests
	}
	if key.style == "body" {
		cfg.AuthStyle = oauth2.AuthStyleInParams
	}
	if key.audience != "" {
		cfg.EndpointParams = url.Values{"audience": {key.audience}}
	}
	client := &http.Client{Transport: via, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // the client's secret is for this endpoint alone
	}}
	asked := time.Now()
	t, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return fresh.Item[token]{}, tokenError(ctx, key.url, err)
	}
	life := tokenUnsaid
	if !t.Expiry.IsZero() {
		life = t.Expiry.Sub(asked)
	}
	return fresh.Item[token]{
		Value:   token{header: t.Type() + " " + t.AccessToken, value: t.AccessToken, fetched: time.Now()},
		Refresh: asked.Add(life - min(life/5, tokenAhead)),
		Expires: asked.Add(life - min(life/20, 10*time.Second)),
	}, nil
}

// tokenError shows the status and the error code of RFC 6749 section 5.2, and
// nothing else of what the endpoint or the client said.
func tokenError(ctx context.Context, at string, err error) error {
	e := &Error{Reason: "fetch token from " + bare(at) + ": ", err: err}
	var answer *oauth2.RetrieveError
	switch {
	case errors.As(err, &answer) && answer.Response != nil:
		status := answer.Response.StatusCode
		e.Reason += fmt.Sprintf("the endpoint answered %d", status)
		if knownError(answer.ErrorCode) {
			e.Reason += " " + answer.ErrorCode
		}
		e.Permanent = status != http.StatusTooManyRequests && status < 500
	case ctx.Err() != nil:
		e.Reason += "no answer in time"
	default:
		var lost *url.Error
		if errors.As(err, &lost) {
			e.Reason += "the endpoint could not be reached"
		} else {
			e.Reason += "the answer holds no access token"
			e.Permanent = true
		}
	}
	return e
}

// bare is a URL without userinfo, query and fragment, where secrets live.
func bare(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "its endpoint"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

func knownError(code string) bool {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "access_denied", "invalid_target":
		return true
	}
	return false
}
