package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"callfleet/internal/evidence"
	"callfleet/internal/httpcall/egress"
	"callfleet/internal/secret/secrettest"
)

// parsed are the egress settings of each program that makes calls.
func parsed(t *testing.T, env ...string) map[string]Egress {
	t.Helper()
	worker, err := ParseWorker(input("", env...))
	if err != nil {
		t.Fatal(err)
	}
	producer, err := ParseProducer(input("run calls.jsonl", env...))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := ParseStepFunctions(input("", env...))
	if err != nil {
		t.Fatal(err)
	}
	lambda, err := ParseLambda(input("", append(env, inLambda)...))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Egress{"worker": worker.Egress, "producer": producer.Egress, "stepfunctions": steps.Egress, "lambda": lambda.Egress}
}

func allows(t *testing.T, p *egress.Policy, host, at string) bool {
	t.Helper()
	addr := netip.MustParseAddrPort(at)
	target, err := p.Target(host, addr.Port())
	return err == nil && target.Address(addr.Addr()) == nil
}

func TestEgressOfEveryProgram(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		env  []string
		want string // of: public, public on port 8, private by name, private, own server
	}{
		"default": {nil, "public,own"},
		"allow":   {[]string{"CALLFLEET_EGRESS_ALLOW=10.0.0.0/8"}, "public,named,private,own"},
		"by name": {[]string{"CALLFLEET_EGRESS_ALLOW=api.corp"}, "public,named,own"},
		"deny":    {[]string{"CALLFLEET_EGRESS_DENY=93.184.0.0/16"}, "own"},
		"ports":   {[]string{"CALLFLEET_EGRESS_PORTS=8"}, "port 8,own"},
		"none":    {[]string{"CALLFLEET_EGRESS_DEFAULT=none"}, "own"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for program, e := range parsed(t, row.env...) {
				p, err := e.Policy("127.0.0.1:8089")
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, a := range []struct{ name, host, at string }{
					{"public", "api.example", "93.184.215.14:443"}, {"port 8", "api.example", "93.184.215.14:8"}, {"named", "api.corp", "10.1.2.3:443"},
					{"private", "10.1.2.3", "10.1.2.3:443"}, {"own", "127.0.0.1", "127.0.0.1:8089"}, {"beside it", "127.0.0.1", "127.0.0.1:8088"},
				} {
					if allows(t, p, a.host, a.at) {
						got = append(got, a.name)
					}
				}
				if got := strings.Join(got, ","); got != row.want {
					t.Errorf("%s may call %q, want %q", program, got, row.want)
				}
			}
		})
	}
}

func TestEgressMistakes(t *testing.T) {
	t.Parallel()
	password := secrettest.Value(t, "password of the proxy")
	env := []string{
		"CALLFLEET_EGRESS_ALLOW=10.0.0.1/8,*", "CALLFLEET_EGRESS_DENY=a:0", "CALLFLEET_EGRESS_PORTS=http", "CALLFLEET_EGRESS_DEFAULT=all",
		"CALLFLEET_EGRESS_PROXY=socks5://me:" + password + "@proxy:1080",
	}
	want := []string{
		`EGRESS_ALLOW%s: "10.0.0.1/8": want 10.0.0.0/8, or the address alone; "*": want a host, *.domain, an address or a network`,
		`EGRESS_DENY%s: "a:0": want a port from 1 to 65535`, `EGRESS_PORTS%s: want a port from 1 to 65535, or a range such as 8000-8999, not "http"`,
		`EGRESS_DEFAULT%s: want public or none, not "all"`, `EGRESS_PROXY%s: want http://host:port, https://host:port or environment`,
	}
	for _, program := range []string{"worker", "producer", "stepfunctions", "lambda"} {
		args := map[string]string{"producer": "run f"}[program]
		paren, err := ")", error(nil)
		if program == "lambda" {
			paren = ""
			_, err = ParseLambda(input("", append(env, inLambda)...))
		} else {
			err = parse(program, input(args, env...))
		}
		evidence.Write(t, evidence.Output, fmt.Sprint(err))
		var usage *UsageError
		if !errors.As(err, &usage) || len(usage.Problems) != len(want) || strings.Contains(err.Error(), password) {
			t.Fatalf("%s: %v, want %d mistakes and no password", program, err, len(want))
		}
		for _, w := range want {
			if w = fmt.Sprintf(w, paren); !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error is\n%v\nwant in it\n%s", program, err, w)
			}
		}
	}
	_, err := ParseWorker(input("", "CALLFLEET_EGRESS_PROXY=environment", "HTTPS_PROXY=socks5://me:"+password+"@proxy:1080"))
	evidence.Write(t, evidence.Output, fmt.Sprint(err))
	if err == nil || !strings.Contains(err.Error(), "the environment's proxy for https: want http://host:port") || strings.Contains(err.Error(), password) {
		t.Errorf("error = %v", err)
	}
}

func TestEgressProxy(t *testing.T) {
	t.Parallel()
	password := secrettest.Value(t, "password of the proxy")
	environment := []string{"HTTP_PROXY=http://one:3128", "https_proxy=two:3129", "NO_PROXY=.corp,10.0.0.0/8"}
	for name, row := range map[string]struct {
		env  []string
		want map[string]string
	}{
		"none unless asked for": {environment, map[string]string{"http://a.example/": "", "https://a.example/": ""}},
		"environment": {append(environment, "CALLFLEET_EGRESS_PROXY=environment"), map[string]string{
			"http://a.example/": "http://one:3128", "https://a.example/": "http://two:3129", "https://a.corp/": "", "http://10.1.2.3/": "", "http://127.0.0.1/": "",
		}},
		"URL": {[]string{"CALLFLEET_EGRESS_PROXY=http://me:" + password + "@three:3130", "NO_PROXY=*"}, map[string]string{
			"http://a.example/": "http://me:" + password + "@three:3130", "https://a.example/": "http://me:" + password + "@three:3130",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for program, e := range parsed(t, row.env...) {
				if text := fmt.Sprintf("%v %+v %#v %s", e, e, e, e.Proxy.LogValue()); strings.Contains(text, password) {
					t.Errorf("%s shows the password: %s", program, text)
				}
				p, err := e.Policy()
				if err != nil {
					t.Fatal(err)
				}
				for text, want := range row.want {
					u, err := url.Parse(text)
					if err != nil {
						t.Fatal(err)
					}
					got := ""
					if proxy, err := p.Proxy(u); err != nil {
						t.Error(err)
					} else if proxy != nil {
						got = proxy.String()
					}
					if got != want {
						t.Errorf("%s: %s goes through %q, want %q", program, text, got, want)
					}
				}
			}
		})
	}
}

// The tags of Egress say the names and defaults that causes name.
func TestEgressSettingsAreThoseOfCauses(t *testing.T) {
	t.Parallel()
	var help strings.Builder
	in := input("--help")
	in.Stdout = &help
	if _, err := ParseWorker(in); !errors.Is(err, ErrHelp) {
		t.Fatal(err)
	}
	for _, want := range []string{egress.AllowSetting, egress.DenySetting, egress.PortsSetting, egress.DefaultSetting, egress.ProxySetting} {
		if !strings.Contains(help.String(), "($"+want+")") {
			t.Errorf("%s is no setting", want)
		}
	}
	if !strings.Contains(help.String(), "--egress-ports="+egress.DefaultPorts().String()) {
		t.Error("the default of --egress-ports is not the policy's")
	}
}
