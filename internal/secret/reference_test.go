package secret

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Reference{
		"secret://env/CALLFLEET_SECRET_A":                    {Env, "CALLFLEET_SECRET_A", ""},
		"secret://file/tls/client.key":                       {File, "tls/client.key", ""},
		"secret://file/..data/key":                           {File, "..data/key", ""}, // as Kubernetes mounts them
		"secret://secretsmanager/callfleet/stripe#key":       {SecretsManager, "callfleet/stripe", "key"},
		"secret://secretsmanager/arn:aws:s:r:1:secret:n-AbC": {SecretsManager, "arn:aws:s:r:1:secret:n-AbC", ""},
		"secret://ssm/callfleet/token":                       {SSM, "callfleet/token", ""},
		"secret://ssm//callfleet/token":                      {SSM, "/callfleet/token", ""},
	} {
		got, err := Parse(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "env/A", "secret:/env/A", "secret://", "secret://env", "secret://env/", "secret://env/1A", "secret://env/A-B", "secret://env/A B", "secret://env/A#k",
		"secret://vault/a", "secret://file/", "secret://file/.", "secret://file/../a", "secret://file/a/../../b", "secret://file//etc/passwd", "secret://file/a/",
		"secret://file/a//b", "secret://file/a/./b", `secret://file/a\b`, "secret://file/C:x", "secret://file/a%2e%2e", "secret://file/a\x00", "secret://file/ä",
		"secret://secretsmanager/", "secret://secretsmanager/a#", "secret://secretsmanager/a#b\"c", "secret://secretsmanager/a b", "secret://ssm/", "secret://ssm/a:1",
		"secret://ssm/a#b", "secret://env/A\n", "Secret://env/A", "secret://aws/credentials", "secret://ssm/" + strings.Repeat("a", 1024),
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q is %+v, want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("secret://secretsmanager/a#b")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err == nil && (r.String() != text || strings.ContainsAny(text, "\"'`{}<>\r\n\\ ")) {
			t.Errorf("%q is %+v", text, r)
		}
	})
}

func TestMarks(t *testing.T) {
	t.Parallel()
	a, b := Reference{Env, "A", ""}.Mark(), Reference{Env, "B", ""}.Mark()
	if a == b || a != (Reference{Env, "A", ""}).Mark() || !strings.HasPrefix(a, MarkPrefix) || !only(a, "") || strings.Contains(a, b) {
		t.Errorf("marks %q and %q, want two of letters and digits", a, b)
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		patterns string
		yes, no  []string
	}{
		{strings.Join(DefaultAllow(), ","),
			[]string{"env/CALLFLEET_SECRET_A", "file/a/b", "secretsmanager/callfleet/a#k", "ssm/callfleet/a", "ssm//callfleet/a"},
			[]string{"env/AWS_SECRET_ACCESS_KEY", "env/CALLFLEET_QUEUE", "env/PATH", "env/XCALLFLEET_SECRET_A", "secretsmanager/prod/db", "secretsmanager/callfleet", "ssm/prod/a",
				"secretsmanager/arn:aws:secretsmanager:r:1:secret:callfleet/a"}},
		{"env/A,ssm/x*", []string{"env/A", "ssm/x", "ssm/xy"}, []string{"env/AB", "file/a", "ssm/y"}},
		{"aws/credentials", nil, []string{"env/CALLFLEET_SECRET_A"}},
	} {
		allow, err := ParseAllow(strings.Split(row.patterns, ","))
		if err != nil {
			t.Fatal(err)
		}
		for want, list := range map[bool][]string{true: row.yes, false: row.no} {
			for _, name := range list {
				r, err := Parse(Scheme + name)
				if err != nil || allow.Reference(r) != want {
					t.Errorf("%s allows %s: %v, %v, want %v", row.patterns, name, !want, err, want)
				}
			}
		}
		if allow.WorkerAWS() != (row.patterns == WorkerAWS) {
			t.Errorf("%s: the worker's own credentials: %v", row.patterns, allow.WorkerAWS())
		}
	}
	_, err := ParseAllow([]string{"env/A", "*", "env/", "vault/a", "env/*A", "aws/*"})
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("error %v, want one for each of five", err)
	}
}
