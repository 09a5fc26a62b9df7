package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"callfleet/internal/evidence"
	"callfleet/internal/secret/secrettest"
)

func newResolver(t *testing.T, o Options) *Resolver {
	t.Helper()
	r, err := NewResolver(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func environment(list map[string]string) map[string]Source {
	return map[string]Source{Env: Environment(func(name string) string { return list[name] })}
}

func refused(t *testing.T, r *Resolver, reference, why string, permanent bool) {
	t.Helper()
	v, err := r.Get(t.Context(), reference)
	evidence.Write(t, evidence.Result, fmt.Sprint(v, err))
	var e *Error
	if !errors.As(err, &e) || e.Reference != reference || !strings.Contains(e.Reason, why) || e.Permanent != permanent || v.Reveal() != "" {
		t.Errorf("%s: %q, %v, want a refusal with %q, permanent %v", reference, v.Reveal(), err, why, permanent)
	}
}

// A template author must not read what the worker has for itself.
func TestWorkersOwnEnvironmentIsRefused(t *testing.T) {
	t.Parallel()
	own, a := secrettest.Value(t, "own"), secrettest.Value(t, "A")
	r := newResolver(t, Options{Sources: environment(map[string]string{"AWS_SECRET_ACCESS_KEY": own, "CALLFLEET_SECRET_A": a})})
	refused(t, r, "secret://env/AWS_SECRET_ACCESS_KEY", "CALLFLEET_SECRETS_ALLOW", true)
	refused(t, r, "secret://env/CALLFLEET_SECRET_B", "not set", true)
	refused(t, r, "secret://ssm/callfleet/a", "resolves no secrets of this kind", true)
	refused(t, r, "secret://file/a", "CALLFLEET_SECRETS_DIR", true)
	refused(t, r, "nonsense", "reference", true)
	if v, err := r.Get(t.Context(), "secret://env/CALLFLEET_SECRET_A"); err != nil || v.Reveal() != a {
		t.Errorf("got %q, %v", v.Reveal(), err)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	token, linked := secrettest.Value(t, "token"), secrettest.Value(t, "linked")
	for name, text := range map[string]string{
		filepath.Join(outside, "passwd"): secrettest.Value(t, "passwd"), filepath.Join(dir, "token"): token + "\r\n", filepath.Join(dir, "empty"): "\n",
		filepath.Join(dir, "large"): strings.Repeat("x", maxFile+1), filepath.Join(dir, "..data"): linked,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": filepath.Join(outside, "passwd"), "up": "../" + filepath.Base(outside) + "/passwd", "in": "..data"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	r := newResolver(t, Options{Sources: map[string]Source{File: Directory(dir)}})
	for name, want := range map[string]string{"token": token, "in": linked} {
		if v, err := r.Get(t.Context(), "secret://file/"+name); err != nil || v.Reveal() != want {
			t.Errorf("%s: %q, %v, want %q", name, v.Reveal(), err, want)
		}
	}
	refused(t, r, "secret://file/../"+filepath.Base(outside)+"/passwd", "no . or ..", true)
	refused(t, r, "secret://file/out", "outside", true)
	refused(t, r, "secret://file/up", "outside", true)
	refused(t, r, "secret://file/missing", "does not exist", true)
	refused(t, r, "secret://file/empty", "empty", true)
	refused(t, r, "secret://file/large", "more than", true)
	gone := newResolver(t, Options{Sources: map[string]Source{File: Directory(filepath.Join(dir, "none"))}})
	refused(t, gone, "secret://file/token", "cannot be opened", false)
}

func TestMembers(t *testing.T) {
	t.Parallel()
	user, text := secrettest.Value(t, "user"), secrettest.Value(t, "text")
	r := newResolver(t, Options{Sources: map[string]Source{SecretsManager: SourceFunc(func(_ context.Context, name string) (string, error) {
		if name == "callfleet/text" {
			return "no JSON " + text, nil
		}
		return `{"user":"` + user + `","port":5432,"on":true,"nothing":null,"deep":{},"empty":""}`, nil
	})}})
	for key, want := range map[string]string{"user": user, "port": "5432", "on": "true"} {
		if v, err := r.Get(t.Context(), "secret://secretsmanager/callfleet/db#"+key); err != nil || v.Reveal() != want {
			t.Errorf("%s: %q, %v, want %q", key, v.Reveal(), err, want)
		}
	}
	for key, why := range map[string]string{"missing": "no such member", "nothing": "no text", "deep": "no text", "empty": "empty"} {
		refused(t, r, "secret://secretsmanager/callfleet/db#"+key, why, true)
	}
	refused(t, r, "secret://secretsmanager/callfleet/text#a", "no JSON object", true)
}

// A secret that is rotated is seen without a restart, one fetch at a time.
func TestRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fetches atomic.Int32
		var current atomic.Value
		current.Store("old")
		r := newResolver(t, Options{TTL: time.Minute, Allow: []string{"ssm/a"}, Sources: map[string]Source{
			SSM: SourceFunc(func(context.Context, string) (string, error) {
				fetches.Add(1)
				time.Sleep(100 * time.Millisecond)
				return current.Load().(string), nil
			}),
		}})
		get := func(want string) {
			t.Helper()
			if v, err := r.Get(t.Context(), "secret://ssm/a"); err != nil || v.Reveal() != want {
				t.Errorf("got %q, %v, want %q", v.Reveal(), err, want)
			}
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { get("old") })
		}
		all.Wait()
		current.Store("new")
		time.Sleep(29 * time.Second)
		get("old")
		time.Sleep(2 * time.Second)
		get("old") // fetched meanwhile
		time.Sleep(time.Second)
		get("new")
		current.Store("newer")
		time.Sleep(2 * time.Minute)
		get("newer") // older than its time is not used
		if n := fetches.Load(); n != 3 {
			t.Errorf("%d fetches, want 3", n)
		}
	})
}

func TestSourceThatHangsOrFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newResolver(t, Options{Allow: []string{"ssm/*"}, Sources: map[string]Source{
			SSM: SourceFunc(func(ctx context.Context, name string) (string, error) {
				if name == "down" {
					return "", errors.New("throttled")
				}
				<-ctx.Done()
				return "", ctx.Err()
			}),
		}})
		began := time.Now()
		refused(t, r, "secret://ssm/hangs", "in time", false)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("waited %s, want 5s", took)
		}
		refused(t, r, "secret://ssm/down", "throttled", false)
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{TTL: -1}, {Timeout: -1}, {Allow: []string{"x"}}} {
		if _, err := NewResolver(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
