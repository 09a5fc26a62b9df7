package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"callfleet/internal/auth"
	"callfleet/internal/auth/sigv4"
	"callfleet/internal/evidence"
	"callfleet/internal/evidence/search"
	"callfleet/internal/httpcall"
	secrets "callfleet/internal/secret"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

// hidden are the secrets of a fleet, by variable.
func hidden(t *testing.T, ca string) map[string]string {
	t.Helper()
	certificate, key := selfSigned(t)
	secrettest.Hide(t, "KEY", key)
	return map[string]string{
		"PASSWORD": "pass-" + secrettest.Value(t, "PASSWORD") + "/+ \"ü", "TOKEN": secrettest.Value(t, "TOKEN"), "CLIENT": secrettest.Value(t, "CLIENT"),
		"HMAC": secrettest.WebhookKey(t, "HMAC"), "AWS_KEY": secrettest.Value(t, "AWS_KEY") + "/+=", "SESSION": secrettest.Value(t, "SESSION"),
		"CERT": certificate, "KEY": key, "CA": ca,
	}
}

// searcher finds these secrets as the search of the whole run does.
func searcher(list map[string]string) *search.Searcher {
	var secrets []evidence.Hidden
	for name, s := range list {
		if name != "CERT" && name != "CA" {
			secrets = append(secrets, evidence.Hidden{Name: name, Value: s})
		}
	}
	return search.New(secrets, secrettest.Marker)
}

// mirror answers with all that it was sent, and keeps it; on /fail with 500, and
// on /refuse with 401.
type mirror struct {
	mu  sync.Mutex
	got bytes.Buffer // guarded by mu
}

func (e *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	all := fmt.Sprintln(r.Method, r.URL, r.Header, string(body))
	e.mu.Lock()
	e.got.WriteString(all)
	e.mu.Unlock()
	w.Header().Set("X-Echo", r.Header.Get("Authorization"))
	w.Header().Set("Retry-After", "0")
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasPrefix(r.URL.Path, "/fail"):
		w.WriteHeader(http.StatusInternalServerError)
	case strings.HasPrefix(r.URL.Path, "/refuse"):
		w.WriteHeader(http.StatusUnauthorized)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"url": r.URL.String(), "header": r.Header, "body": string(body)})
}

// issuer gives out a token to whoever has the secret.
func issuer(t *testing.T, client, token string) (url string) {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, secret, _ := r.BasicAuth(); secret != client {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"you sent %s"}`, secret)
			return
		}
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, token)
	})
}

// selfSigned is a certificate and its key.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pattern := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, pattern, pattern, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", pkcs8)
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Nothing of a fleet that uses every kind of auth shows a secret: no log, span,
// metric, message, execution, history, result or error, not even where the API
// sends all that it gets back.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	api := &mirror{}
	plain := httptest.NewServer(api)
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(api)
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	list, access := hidden(t, inPEM("CERTIFICATE", secure.Certificate().Raw)), secrettest.Value(t, "access token")
	resolver, err := secrets.NewResolver(secrets.Options{Sources: map[string]secrets.Source{
		secrets.Env: secrets.Environment(func(name string) string { return list[strings.TrimPrefix(name, "CALLFLEET_SECRET_")] }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := evidence.LoggerTo(t, slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tr := startTraced(t, place{log: logger, auth: auth.New(auth.Options{Secrets: resolver, Signer: sigv4.New(nil), TokenMinAge: 1})})
	var found bytes.Buffer
	templates := authTemplates(plain.URL, secure.URL, issuer(t, list["CLIENT"], access))
	var lines []line
	for i, fields := range templates {
		fields["name"], fields["method"] = fmt.Sprintf("auth-%d", i), "POST"
		if fields["payload"] == nil {
			fields["payload"] = map[string]any{"n": i, "s": inPlace("PASSWORD")}
		}
		if fields["retry"] == nil {
			fields["retry"] = map[string]any{"maxAttempts": 2, "maxDelaySeconds": 1}
		}
		lines = append(lines, line{tr.put(t, fields), map[string]any{"n": i}})
		writePreview(t, &found, fields)
	}
	for _, mode := range modes {
		for i, result := range tr.run(t, mode, lines...) {
			fmt.Fprintf(&found, "result %s %d: %+v %s\n", mode, i, result, result.Output)
			wantStatus(t, templates[i], result.StatusCode, result.Error, result.Cause)
		}
	}
	histories := tr.executions(t)
	if len(histories) == 0 {
		t.Error("no execution was found")
	}
	fmt.Fprintln(&found, histories)
	fmt.Fprintf(&found, "spans: %+v\nmetrics: %+v\nlog: %s\n", tr.spans(t), tr.receiver.Metrics(), log.String())
	for _, hit := range searcher(list).Find(found.Bytes()) {
		t.Errorf("the secret %s is shown %s in line %d of what was found", hit.Secret.Name, hit.Form, hit.Line)
	}
	if strings.Contains(found.String(), secrets.MarkPrefix) {
		t.Error("a mark is shown, which stands for a secret within this process")
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	for _, sent := range []string{list["TOKEN"], access, url.QueryEscape(list["PASSWORD"]), base64.StdEncoding.EncodeToString([]byte("ann:" + list["PASSWORD"])), list["SESSION"], "AWS4-HMAC-SHA256", "Webhook-Signature"} {
		if !strings.Contains(api.got.String(), sent) {
			t.Errorf("the API never got %q: this test could not fail", sent)
		}
	}
}

func wantStatus(t *testing.T, fields map[string]any, status int, name, cause string) {
	t.Helper()
	want, _ := fields["want"].(string)
	if want == "" && status != 200 || want != "" && want != name && want != fmt.Sprint(status) {
		t.Errorf("%s %s: status %d, %s %s, want %s", fields["name"], fields["url"], status, name, cause, want)
	}
}

// inPlace is a secret in a text.
func inPlace(name string) string { return `{{ "` + variable(name) + `"|secret }}` }

func variable(name string) string { return "secret://env/CALLFLEET_SECRET_" + name }

// authTemplates are every kind of auth, and every way in which one ends. "want"
// is a status or the name of a failure, 200 when there is none.
func authTemplates(api, secure, tokens string) []map[string]any {
	bearer := map[string]any{"type": "bearer", "token": variable("TOKEN")}
	oauth := func(url, secret string) map[string]any {
		return map[string]any{"type": "oauth2", "tokenUrl": url, "clientId": "me", "clientSecret": variable(secret)}
	}
	dead := "http://127.0.0.1:1/" // nobody listens there
	return []map[string]any{
		{"url": api, "auth": map[string]any{"type": "basic", "username": "ann", "password": variable("PASSWORD")}},
		{"url": api, "auth": bearer},
		{"url": api, "auth": map[string]any{"type": "apiKey", "name": "X-Key", "value": variable("TOKEN")}},
		{"url": api + "/?a=1", "auth": map[string]any{"type": "apiKey", "name": "key", "value": variable("PASSWORD"), "in": "query"}},
		{"url": api, "auth": oauth(tokens, "CLIENT")},
		{"url": api + "/refuse", "auth": oauth(tokens, "CLIENT"), "want": "401"},
		{"url": api, "auth": oauth(tokens, "PASSWORD"), "want": "Callfleet.AuthFailed"},
		{"url": api, "auth": oauth(dead+"?key=1", "CLIENT"), "want": "Callfleet.AuthFailed"},
		{"url": api, "auth": map[string]any{"type": "hmac", "keys": []string{variable("HMAC")}}},
		{"url": api, "auth": map[string]any{"type": "sigv4", "region": "us-east-1", "service": "sqs", "accessKeyId": "AKID", "secretAccessKey": variable("AWS_KEY"), "sessionToken": variable("SESSION")}},
		{"url": secure, "auth": []any{map[string]any{"type": "mtls", "certificate": variable("CERT"), "key": variable("KEY"), "ca": variable("CA")}, bearer}},
		{"url": secure, "auth": map[string]any{"type": "mtls", "certificate": variable("CERT"), "key": variable("TOKEN"), "ca": variable("CA")}, "want": "Callfleet.AuthFailed"},
		{"url": api + "/hooks/" + inPlace("TOKEN") + "?q=" + inPlace("PASSWORD"), "headers": map[string]any{"X-A": "t " + inPlace("TOKEN")}},
		{"url": api + "/fail/" + inPlace("TOKEN") + "?q=" + inPlace("PASSWORD"), "auth": bearer, "want": "500"},
		{"url": dead + inPlace("TOKEN") + "?q=" + inPlace("PASSWORD"), "auth": bearer, "want": "Callfleet.ConnectionFailed"},
		{"url": api, "payload": "a=" + inPlace("PASSWORD"), "contentType": "application/x-www-form-urlencoded"},
		{"url": api, "auth": map[string]any{"type": "bearer", "token": "secret://env/AWS_SECRET_ACCESS_KEY"}, "want": "Callfleet.AuthFailed"},
	}
}

// writePreview writes what "template render" shows.
func writePreview(t *testing.T, out *bytes.Buffer, fields map[string]any) {
	t.Helper()
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	item, err := itemjson.FromPlain(data)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := template.NewRenderer(template.Options{}).Render(t.Context(), item, json.RawMessage(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	client, err := httpcall.New(httpcall.Options{})
	if err != nil {
		t.Fatal(err)
	}
	request, err := client.Preview(rendered, "id")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := request.Write(&text); err != nil {
		t.Fatal(err)
	}
	evidence.Write(t, evidence.Preview, text.String())
	fmt.Fprintf(out, "preview of %s: %s", fields["name"], text.String())
}
