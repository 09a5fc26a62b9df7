package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"go.uber.org/goleak"

	"callfleet/internal/awstest"
	"callfleet/internal/call"
	"callfleet/internal/config"
	"callfleet/internal/evidence"
	"callfleet/internal/httpcall"
	"callfleet/internal/httpcall/egress/egresstest"
	"callfleet/internal/secret"
	"callfleet/internal/secret/secrettest"
	"callfleet/internal/template"
	"callfleet/internal/template/itemjson"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a caller as a program makes it.
type world struct {
	*httpcall.Client
	url string
}

// good is a secret that the API takes.
func good(t *testing.T, name string) string { return "good-" + secrettest.Value(t, name) }

func newWorld(t *testing.T, cfg config.Secrets, cloud func(context.Context) (aws.Config, error)) world {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer good-") && !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	t.Cleanup(api.Close)
	if cfg.Allow == nil {
		cfg.Allow = secret.DefaultAllow()
	}
	cfg.TTL = time.Minute
	environment := map[string]string{"CALLFLEET_SECRET_A": good(t, "A"), "AWS_SECRET_ACCESS_KEY": good(t, "AWS_SECRET_ACCESS_KEY")}
	authority, err := open(cfg, func(name string) string { return environment[name] }, cloud)
	if err != nil {
		t.Fatal(err)
	}
	client, err := httpcall.New(httpcall.Options{Egress: egresstest.Loopback(), Auth: authority, MaxAttempts: 1, TracerProvider: evidence.Tracers(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		authority.Close()
	})
	return world{client, api.URL}
}

func (w world) do(t *testing.T, auth string) (call.Result, error) {
	t.Helper()
	item, err := itemjson.FromPlain([]byte(`{"name":"a","method":"GET","url":"` + w.url + `","auth":` + auth + `}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := template.NewRenderer(template.Options{}).Render(t.Context(), item, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.Do(t.Context(), r, "id")
	evidence.Write(t, evidence.Result, fmt.Sprintf("%+v %s %v", res, res.Body, err))
	return res, err
}

func (w world) want(t *testing.T, auth string, failure call.FailureName) {
	t.Helper()
	res, err := w.do(t, auth)
	if f := call.AsFailure(err); failure == "" && (err != nil || res.StatusCode != 200) || failure != "" && (f == nil || f.Name != failure) {
		t.Errorf("%s: %d, %v, want %q", auth, res.StatusCode, err, failure)
	}
}

func bearer(reference string) string { return `{"type":"bearer","token":"secret://` + reference + `"}` }

func noCloud(context.Context) (aws.Config, error) { return aws.Config{}, errors.New("no AWS here") }

// A program without AWS uses what its machine has, and never looks for AWS.
func TestWithoutAWS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(good(t, "file")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, config.Secrets{Dir: dir}, noCloud)
	w.want(t, bearer("env/CALLFLEET_SECRET_A"), "")
	w.want(t, bearer("file/token"), "")
	w.want(t, bearer("env/AWS_SECRET_ACCESS_KEY"), call.AuthFailed)
	w.want(t, bearer("ssm/callfleet/a"), call.AuthFailed)
	w.want(t, `{"type":"sigv4","region":"r","service":"s"}`, call.AuthFailed)
}

func TestOnAWS(t *testing.T) {
	t.Parallel()
	cloud := awstest.Moto(t).Config()
	name := "callfleet/" + awstest.Name("credential")
	if _, err := secretsmanager.NewFromConfig(cloud).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: aws.String(`{"k":"` + good(t, "manager") + `"}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := ssm.NewFromConfig(cloud).PutParameter(t.Context(), &ssm.PutParameterInput{Name: aws.String("/" + name), Value: aws.String(good(t, "ssm")), Type: types.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	load := func(context.Context) (aws.Config, error) { return cloud, nil }
	w := newWorld(t, config.Secrets{Allow: append(secret.DefaultAllow(), secret.WorkerAWS)}, load)
	w.want(t, bearer("secretsmanager/"+name+"#k"), "")
	w.want(t, bearer("ssm/"+name), "")
	w.want(t, bearer("ssm/other"), call.AuthFailed)
	w.want(t, `{"type":"sigv4","region":"r","service":"s"}`, "")
	refusing := newWorld(t, config.Secrets{}, load)
	refusing.want(t, `{"type":"sigv4","region":"r","service":"s"}`, call.AuthFailed)
}
