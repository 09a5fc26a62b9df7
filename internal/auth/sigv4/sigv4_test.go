package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"callfleet/internal/auth"
	"callfleet/internal/auth/sigv4"
	"callfleet/internal/awstest"
	"callfleet/internal/call"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/secret"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

// keys are those of a template, and of a worker; do hides them.
var (
	keys  = aws.Credentials{AccessKeyID: "AKIDTEMPLATE", SecretAccessKey: "wJalr+/" + secrettest.New(), SessionToken: secrettest.New() + "+/="}
	own   = aws.Credentials{AccessKeyID: "AKIDWORKER", SecretAccessKey: "own/" + secrettest.New(), SessionToken: secrettest.New()}
	plain = map[string]string{"ID": keys.AccessKeyID, "KEY": keys.SecretAccessKey, "SESSION": keys.SessionToken}
)

func do(t *testing.T, fields map[string]any, allow ...string) (call.Result, error) {
	t.Helper()
	for name, value := range map[string]string{"KEY": keys.SecretAccessKey, "SESSION": keys.SessionToken, "the worker's key": own.SecretAccessKey, "the worker's session": own.SessionToken} {
		secrettest.Hide(t, name, value)
	}
	resolver, err := secret.NewResolver(secret.Options{Allow: append(allow, secret.DefaultAllow()...), Sources: map[string]secret.Source{
		secret.Env: secret.Environment(func(name string) string { return plain[strings.TrimPrefix(name, "CALLFLEET_SECRET_")] }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	authority := auth.New(auth.Options{Secrets: resolver, Signer: sigv4.New(func(context.Context) (aws.Credentials, error) { return own, nil })})
	client, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback(), Auth: authority, TracerProvider: evidence.Tracers(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		authority.Close()
	})
	fields["name"] = "aws"
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	item, err := itemjson.FromPlain(data)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := template.NewRenderer(template.Options{}).Render(t.Context(), item, json.RawMessage(`{"q":"a b/c"}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(t.Context(), rendered, "run-1")
	evidence.Write(t, evidence.Result, fmt.Sprintf("%+v %s %v", res, res.Body, err))
	return res, err
}

func signed(service string, with map[string]any) map[string]any {
	a := map[string]any{"type": "sigv4", "region": awstest.Region, "service": service}
	for k, v := range with {
		a[k] = v
	}
	return a
}

var named = map[string]any{
	"accessKeyId": "secret://env/CALLFLEET_SECRET_ID", "secretAccessKey": "secret://env/CALLFLEET_SECRET_KEY", "sessionToken": "secret://env/CALLFLEET_SECRET_SESSION",
}

// verify computes the signature again from what arrived, with the SDK's signer.
func verify(r *http.Request, body []byte, service string, creds aws.Credentials) bool {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || r.Header.Get("X-Amz-Security-Token") != creds.SessionToken || time.Since(at).Abs() > time.Minute {
		return false
	}
	_, list, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	again, err := http.NewRequest(r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return false
	}
	for name := range strings.SplitSeq(list, ";") {
		if name != "host" && name != "content-length" && name != "x-amz-date" && name != "x-amz-security-token" {
			again.Header[http.CanonicalHeaderKey(name)] = r.Header[http.CanonicalHeaderKey(name)]
		}
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(context.Background(), creds, again, hex.EncodeToString(sum[:]), service, awstest.Region, at,
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	return err == nil && again.Header.Get("Authorization") == r.Header.Get("Authorization")
}

func TestSignature(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		service string
		with    map[string]any
		creds   aws.Credentials
		allow   []string
		url     string
		payload any
	}{
		"named keys":    {"execute-api", named, keys, nil, "/stage/{{ q }}?b=2&a={{ q }}", map[string]any{"a": "{{ q }}"}},
		"own keys":      {"execute-api", nil, own, []string{secret.WorkerAWS}, "/", ""},
		"object of s3":  {"s3", named, keys, nil, "/bucket/{{ q }}/~x", "text"},
		"secret inside": {"lambda", named, keys, nil, `/x/{{ "secret://env/CALLFLEET_SECRET_KEY"|secret }}`, map[string]any{"k": `{{ "secret://env/CALLFLEET_SECRET_KEY"|secret }}`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if !verify(r, body, row.service, row.creds) {
					w.WriteHeader(http.StatusForbidden)
				}
				if verify(r, append(body, ' '), row.service, row.creds) {
					t.Error("the signature is not over the body")
				}
				for _, h := range []string{"user-agent", "traceparent", "accept-encoding"} {
					if strings.Contains(r.Header.Get("Authorization"), h) {
						t.Errorf("%s is signed, which others may change", h)
					}
				}
			}))
			t.Cleanup(server.Close)
			res, err := do(t, map[string]any{"method": "PUT", "url": server.URL + row.url, "payload": row.payload, "auth": signed(row.service, row.with)}, row.allow...)
			if err != nil || res.StatusCode != 200 {
				t.Errorf("answer %d, %v", res.StatusCode, err)
			}
		})
	}
}

// A template author is not the worker, unless the worker says so.
func TestOwnCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	_, err := do(t, map[string]any{"method": "GET", "url": "http://127.0.0.1:1", "auth": signed("s3", nil)})
	if f := call.AsFailure(err); f == nil || f.Name != call.AuthFailed || !strings.Contains(f.Cause, secret.WorkerAWS) || f.Attempts != 1 {
		t.Errorf("error %v", err)
	}
}

// A real AWS API (of an emulator) is called by a template.
func TestAgainstMoto(t *testing.T) {
	t.Parallel()
	moto := awstest.Moto(t)
	queue := awstest.Name("signed")
	res, err := do(t, map[string]any{
		"method": "POST", "url": moto.URL + "/", "contentType": "application/x-amz-json-1.0", "headers": map[string]any{"X-Amz-Target": "AmazonSQS.CreateQueue"},
		"payload": `{"QueueName": "` + queue + `"}`, "auth": signed("sqs", named),
	})
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("answer %d %s, %v", res.StatusCode, res.Body, err)
	}
	if _, err := sqs.NewFromConfig(moto.Config()).GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue}); err != nil {
		t.Error(err)
	}
	res, err = do(t, map[string]any{
		"method": "POST", "url": moto.URL + "/", "contentType": "application/x-www-form-urlencoded", "payload": "Action=GetCallerIdentity&Version=2011-06-15",
		"auth": signed("sts", named),
	})
	if err != nil || res.StatusCode != 200 || !strings.Contains(string(res.Body), awstest.Account) {
		t.Errorf("answer %d %s, %v", res.StatusCode, res.Body, err)
	}
}
