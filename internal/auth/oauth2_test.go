package auth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"callfleet/internal/auth"
	"callfleet/internal/call"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/secret/secrettest"
)

// newCaller hides it.
var clientSecret = "client s3cret/+&=" + secrettest.New()

// issuer is an OAuth 2.0 server (RFC 6749 section 4.4) and the API behind it.
type issuer struct {
	t       testing.TB
	url     string
	life    time.Duration
	fault   atomic.Int32 // status of the next answers of the token endpoint; 0 is none
	fetches atomic.Int32
	calls   atomic.Int32

	mu     sync.Mutex
	tokens map[string]time.Time // until when each is valid; guarded by mu
	keys   map[string]int       // Idempotency-Keys of calls; guarded by mu
	scopes []string             // asked for; guarded by mu
}

func newIssuer(t testing.TB, life time.Duration) *issuer {
	t.Helper()
	s := &issuer{t: t, life: life, tokens: map[string]time.Time{}, keys: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("/api", s.api)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *issuer) token(w http.ResponseWriter, r *http.Request) {
	s.fetches.Add(1)
	w.Header().Set("Content-Type", "application/json")
	if status := s.fault.Load(); status != 0 {
		w.WriteHeader(int(status))
		_ = json.NewEncoder(w).Encode(map[string]any{"error": "temporarily_unavailable", "error_description": clientSecret})
		return
	}
	id, secret, header := r.BasicAuth()
	if header {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if id == "body-only" == header || secret != clientSecret || r.PostFormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_client", "error_description": "you sent " + secret})
		return
	}
	token := "access-" + secrettest.Value(s.t, "access token")
	s.mu.Lock()
	s.tokens[token] = time.Now().Add(s.life)
	s.scopes = append(s.scopes, r.PostFormValue("scope")+"|"+r.PostFormValue("audience"))
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "bearer", "expires_in": int(s.life / time.Second)})
}

func (s *issuer) api(w http.ResponseWriter, r *http.Request) {
	s.calls.Add(1)
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	valid := time.Now().Before(s.tokens[token])
	s.keys[r.Header.Get("Idempotency-Key")]++
	s.mu.Unlock()
	if !valid {
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// revoke makes every token invalid that was given out.
func (s *issuer) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

func (s *issuer) counted(t testing.TB, fetches, calls int32) {
	t.Helper()
	if f, c := s.fetches.Load(), s.calls.Load(); f != fetches || c != calls {
		t.Errorf("%d token requests and %d calls, want %d and %d", f, c, fetches, calls)
	}
}

func (s *issuer) template(more ...string) map[string]any {
	fields := append([]string{"tokenUrl", s.url + "/token", "clientId", "me", "clientSecret", env("CLIENT")}, more...)
	return map[string]any{"url": s.url + "/api", "auth": of("oauth2", fields...)}
}

var client = map[string]string{"CLIENT": clientSecret, "WRONG": "wrong s3cret " + secrettest.New()}

func TestThousandCallsFetchOneToken(t *testing.T) {
	t.Parallel()
	s := newIssuer(t, time.Hour)
	c := newCaller(t, client, settings{})
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 1000 {
		all.Go(func() {
			<-begin
			if res, err := c.do(s.template(), "{}"); err != nil || res.StatusCode != 200 {
				t.Errorf("answer %d, %v", res.StatusCode, err)
			}
		})
	}
	close(begin)
	all.Wait()
	s.counted(t, 1, 1000)
}

func TestTokenIsOfScopeAudienceAndClient(t *testing.T) {
	t.Parallel()
	s := newIssuer(t, time.Hour)
	c := newCaller(t, client, settings{})
	for range 2 {
		c.must(s.template(), 200)
		c.must(s.template("scopes", "read write"), 200)
		c.must(s.template("scopes", "read write", "audience", "https://api.example"), 200)
		c.must(s.template("clientId", "body-only", "clientAuth", "body"), 200)
	}
	s.counted(t, 4, 8)
	if got := strings.Join(s.scopes, " "); got != "| read write| read write|https://api.example |" {
		t.Errorf("asked for %s", got)
	}
}

// A token that is near its end is replaced while it still serves: no call sees
// it end.
func TestTokenIsRefreshedAhead(t *testing.T) {
	t.Parallel()
	const life = 8 * time.Second // a fifth of it is left for a busy machine to fetch the next
	s := newIssuer(t, life)
	c := newCaller(t, client, settings{})
	for until := time.Now().Add(life + time.Second); time.Now().Before(until); {
		c.must(s.template(), 200)
		<-time.After(5 * time.Millisecond)
	}
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d token requests in %s for tokens of %s", n, life+time.Second, life)
	}
	if s.keys["run-1"] != int(s.calls.Load()) {
		t.Errorf("%d calls with the key, of %d", s.keys["run-1"], s.calls.Load())
	}
}

// A 401 is answered by one new token and one repetition with the same
// Idempotency-Key, also where the template allows one attempt only.
func TestTokenThatWasRevoked(t *testing.T) {
	t.Parallel()
	s := newIssuer(t, time.Hour)
	c := newCaller(t, client, settings{auth: auth.Options{TokenMinAge: 1}})
	fields := s.template()
	fields["retry"] = map[string]any{"maxAttempts": 1}
	c.must(fields, 200)
	s.revoke()
	if res := c.must(fields, 200); res.Attempts != 2 || s.keys["run-1"] != 3 {
		t.Errorf("%d attempts, %v", res.Attempts, s.keys)
	}
	s.counted(t, 2, 3)
}

// One token is fetched for all calls that were refused with the same one.
func TestRevokedTokenOfManyCalls(t *testing.T) {
	t.Parallel()
	s := newIssuer(t, time.Hour)
	c := newCaller(t, client, settings{auth: auth.Options{TokenMinAge: 100 * time.Millisecond}})
	c.must(s.template(), 200)
	<-time.After(150 * time.Millisecond)
	s.revoke()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if res, err := c.do(s.template(), "{}"); err != nil || res.StatusCode != 200 {
				t.Errorf("answer %d, %v", res.StatusCode, err)
			}
		})
	}
	all.Wait()
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

// An API that refuses every token does not have one fetched for each call.
func TestAPIThatRefusesEveryToken(t *testing.T) {
	t.Parallel()
	s := newIssuer(t, time.Hour)
	c := newCaller(t, client, settings{})
	refuses := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	fields := s.template()
	fields["url"] = refuses
	for range 10 {
		if res := c.must(fields, 401); res.Attempts != 1 {
			t.Errorf("%d attempts with a token that is new", res.Attempts)
		}
	}
	s.counted(t, 1, 0)
}

func TestTokenEndpointFails(t *testing.T) {
	t.Parallel()
	s := newIssuer(t, time.Hour)
	c := newCaller(t, client, settings{})
	wrong := s.template("clientSecret", env("WRONG"))
	if f := c.fails(wrong, call.AuthFailed, "answered 401 invalid_client"); f.Attempts != 1 || strings.Contains(f.Cause, "s3cret") {
		t.Errorf("%v after %d attempts", f, f.Attempts)
	}
	s.fault.Store(503)
	if f := c.fails(s.template(), call.AuthFailed, "answered 503"); f.Attempts != 4 || strings.Contains(f.Cause, "s3cret") {
		t.Errorf("%v after %d attempts", f, f.Attempts)
	}
	if n := s.calls.Load(); n != 0 {
		t.Errorf("the API was called %d times without a token", n)
	}
	gone := s.template("tokenUrl", "http://me:s3cret@127.0.0.1:1/token?key=s3cret#s3cret")
	if f := c.fails(gone, call.AuthFailed, "127.0.0.1:1/token: the endpoint could not be reached"); f.Attempts != 4 || strings.Contains(f.Cause, "s3cret") {
		t.Errorf("%v after %d attempts", f, f.Attempts)
	}
}

// A token endpoint that recovers is asked again within the same call.
func TestTokenEndpointRecovers(t *testing.T) {
	t.Parallel()
	s := newIssuer(t, time.Hour)
	s.fault.Store(500)
	c := newCaller(t, client, settings{http: httpcall.Options{BaseDelay: time.Second, MaxAttempts: 20}})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := c.do(s.template(), "{}"); err != nil || res.StatusCode != 200 || res.Attempts < 2 {
			t.Errorf("answer %d after %d attempts, %v", res.StatusCode, res.Attempts, err)
		}
	}()
	for s.fetches.Load() == 0 {
		<-time.After(time.Millisecond)
	}
	s.fault.Store(0)
	<-done
}

// The egress rule holds for token endpoints as well.
func TestTokenEndpointBehindTheRule(t *testing.T) {
	t.Parallel()
	s := newIssuer(t, time.Hour)
	c := newCaller(t, client, settings{http: httpcall.Options{Egress: egress.New(egress.Options{})}})
	c.fails(s.template(), call.EgressDenied, "loopback")
	s.counted(t, 0, 0)
}

// However a token endpoint's host is written, the rule is about what it means.
func TestTokenEndpointBehindTheRuleHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	proxy := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the proxy was asked for %s", r.RequestURI) })
	at, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	deny, err := egress.ParseRules("login.example")
	if err != nil {
		t.Fatal(err)
	}
	c := newCaller(t, client, settings{http: httpcall.Options{Egress: egress.New(egress.Options{
		Deny: deny, Proxy: func(*url.URL) (*url.URL, error) { return at, nil },
	})}})
	for tokenURL, why := range map[string]string{
		"http://LOGIN.Example/token":       "denied by login.example",
		"http://login.example./token":      "denied by login.example",
		"http://169.254.169.254./latest":   "metadata",
		"http://0xa9.0xfe.0xa9.0xfe/":      "unusual form",
		"http://metadata.google.INTERNAL/": "private network",
	} {
		fields := map[string]any{
			"url":  "http://api.example/",
			"auth": of("oauth2", "tokenUrl", tokenURL, "clientId", "me", "clientSecret", env("CLIENT")),
		}
		c.fails(fields, call.EgressDenied, why)
	}
}

// A redirect of the token endpoint is not followed with the client's secret.
func TestTokenEndpointThatRedirects(t *testing.T) {
	t.Parallel()
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the other server was asked") })
	s := newIssuer(t, time.Hour)
	c := newCaller(t, client, settings{})
	moved := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusPermanentRedirect) })
	if f := c.fails(s.template("tokenUrl", moved), call.AuthFailed, "answered 308"); f.Attempts != 1 {
		t.Errorf("%d attempts", f.Attempts)
	}
}
