package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callfleet/internal/auth"
	"callfleet/internal/auth/sigv4"
	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/secret"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// caller renders and calls as a worker does.
type caller struct {
	t        testing.TB
	secrets  *store
	renderer *template.Renderer
	client   *httpcall.Client
}

// store has secrets that may be rotated.
type store struct {
	t      testing.TB
	mu     sync.Mutex
	values map[string]string
}

func (s *store) set(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(value) >= 8 && !strings.Contains(value, "BEGIN CERTIFICATE") { // else it is public
		secrettest.Hide(s.t, name, value)
	}
	s.values["CALLFLEET_SECRET_"+name] = value
}

func (s *store) get(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[name]
}

type settings struct {
	http   httpcall.Options
	auth   auth.Options
	secret secret.Options
}

// newCaller has the secrets, each under CALLFLEET_SECRET_ and its name.
func newCaller(t testing.TB, secrets map[string]string, o settings) *caller {
	t.Helper()
	s := &store{t: t, values: map[string]string{}}
	for name, value := range secrets {
		s.set(name, value)
	}
	o.secret.Sources = map[string]secret.Source{secret.Env: secret.Environment(s.get)}
	resolver, err := secret.NewResolver(o.secret)
	if err != nil {
		t.Fatal(err)
	}
	o.auth.Secrets = resolver
	if o.auth.Signer == nil {
		o.auth.Signer = sigv4.New(nil)
	}
	authority := auth.New(o.auth)
	o.http.Auth = authority
	if o.http.BaseDelay == 0 {
		o.http.BaseDelay = time.Millisecond
	}
	if o.http.Egress == nil {
		o.http.Egress = egresstest.Loopback()
	}
	o.http.TracerProvider = evidence.Tracers(t)
	client, err := httpcall.New(o.http)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		authority.Close()
	})
	return &caller{t, s, template.NewRenderer(template.Options{}), client}
}

// do calls by a plain template, with "test" as its name.
func (c *caller) do(fields map[string]any, params string) (call.Result, error) {
	c.t.Helper()
	if _, ok := fields["method"]; !ok {
		fields["method"] = "POST"
	}
	fields["name"] = "test"
	plain, err := json.Marshal(fields)
	if err != nil {
		c.t.Fatal(err)
	}
	item, err := itemjson.FromPlain(plain)
	if err != nil {
		c.t.Fatal(err)
	}
	rendered, err := c.renderer.Render(context.Background(), item, json.RawMessage(params))
	if err != nil {
		return call.Result{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c.preview(rendered)
	res, err := c.client.Do(ctx, rendered, "run-1")
	evidence.Write(c.t, evidence.Result, fmt.Sprintf("%+v %s %v", res, res.Body, err))
	return res, err
}

// preview keeps what "template render" shows.
func (c *caller) preview(rendered call.Rendered) {
	c.t.Helper()
	request, err := c.client.Preview(rendered, "run-1")
	if err != nil {
		return // a request that is not sent either
	}
	var text strings.Builder
	if err := request.Write(&text); err != nil {
		c.t.Error(err)
	}
	evidence.Write(c.t, evidence.Preview, text.String())
}

// must is do that has to be answered with status.
func (c *caller) must(fields map[string]any, status int) call.Result {
	c.t.Helper()
	res, err := c.do(fields, "{}")
	if err != nil || res.StatusCode != status {
		c.t.Fatalf("answer %d %s, %v, want %d", res.StatusCode, res.Body, err, status)
	}
	return res
}

// fails is do that has to fail with a name and a cause that holds why.
func (c *caller) fails(fields map[string]any, name call.FailureName, why string) *call.Failure {
	c.t.Helper()
	res, err := c.do(fields, "{}")
	var f *call.Failure
	if !errors.As(err, &f) || f.Name != name || !strings.Contains(f.Cause, why) {
		c.t.Fatalf("answer %d, %v, want %s with %q", res.StatusCode, err, name, why)
	}
	return f
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// of is an attribute auth.
func of(kind string, fields ...string) map[string]any {
	m := map[string]any{"type": kind}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	return m
}

func env(name string) string { return "secret://env/CALLFLEET_SECRET_" + name }
