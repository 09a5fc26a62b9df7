package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"golang.org/x/net/http/httpproxy"

	"callfleet/internal/httpcall/egress"
)

// Egress says where calls may go.
type Egress struct {
	Allow   egress.Rules `name:"egress-allow" help:"Hosts, *.domains, addresses and networks that calls may go to although they are not public, each with an optional :port." env:"CALLFLEET_EGRESS_ALLOW" placeholder:"api.corp:8443,10.1.0.0/16" group:"Egress, where calls may go (docs/egress.md):"`
	Deny    egress.Rules `name:"egress-deny" help:"The same for what they may not go to, whatever else is allowed." env:"CALLFLEET_EGRESS_DENY" placeholder:"*.example" group:"Egress, where calls may go (docs/egress.md):"`
	Ports   egress.Ports `name:"egress-ports" help:"Ports that are open, where a rule names none." env:"CALLFLEET_EGRESS_PORTS" default:"80,443,1024-65535" group:"Egress, where calls may go (docs/egress.md):"`
	Default string       `name:"egress-default" help:"Where calls may go that no rule is about: public (every public address) or none." env:"CALLFLEET_EGRESS_DEFAULT" default:"public" group:"Egress, where calls may go (docs/egress.md):"`
	Proxy   Proxy        `name:"egress-proxy" help:"HTTP proxy for all calls: its URL, or environment for what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say." env:"CALLFLEET_EGRESS_PROXY" placeholder:"URL" group:"Egress, where calls may go (docs/egress.md):"`
}

// Policy is what the settings come to. Own are servers of this very program
// that calls may go to, as host:port.
func (e Egress) Policy(own ...string) (*egress.Policy, error) {
	o := egress.Options{
		Allow: e.Allow, Deny: e.Deny, Ports: e.Ports, OnlyAllowed: e.Default == "none", Proxy: e.Proxy.find,
	}
	for _, server := range own {
		rules, err := egress.ParseRules(server)
		if err != nil {
			return nil, fmt.Errorf("allow calls to %w", err)
		}
		o.Allow = append(o.Allow[:len(o.Allow):len(o.Allow)], rules...)
	}
	return egress.New(o), nil
}

// check also reads the proxies of the environment, when they are wanted.
func (e *Egress) check(p *problems, getenv func(string) string) {
	p.oneOf("egress-default", e.Default, "public", "none")
	if err := e.Proxy.complete(getenv); err != nil {
		p.add("egress-proxy", "%v", err)
	}
}

func parseEgressRules(text string) (any, error) { return egress.ParseRules(text) }
func parseEgressPorts(text string) (any, error) { return egress.ParsePorts(text) }

// Proxy is the proxy for calls. Printed and logged it hides a password.
type Proxy struct {
	environment bool
	url         *url.URL
	find        func(*url.URL) (*url.URL, error) // nil: no proxy
}

// String hides passwords.
func (p Proxy) String() string {
	switch {
	case p.environment:
		return "environment"
	case p.url == nil:
		return ""
	}
	return p.url.Redacted()
}

// GoString hides passwords from %#v.
func (p Proxy) GoString() string { return p.String() }

// LogValue hides passwords from slog.
func (p Proxy) LogValue() slog.Value { return slog.StringValue(p.String()) }

var errProxy = errors.New("want http://host:port, https://host:port or environment")

// parseProxy does not show the text in its errors: it may hold a password.
func parseProxy(text string) (any, error) {
	if text == "environment" {
		return Proxy{environment: true}, nil
	}
	if text == "" {
		return Proxy{}, nil
	}
	u, err := url.Parse(text)
	if err != nil || !isProxy(u) {
		return Proxy{}, errProxy
	}
	return Proxy{url: u}, nil
}

func isProxy(u *url.URL) bool { return (u.Scheme == "http" || u.Scheme == "https") && bareHost(u) }

// complete makes the proxy's function.
func (p *Proxy) complete(getenv func(string) string) error {
	switch {
	case p.url != nil:
		proxy := p.url
		p.find = func(*url.URL) (*url.URL, error) { return proxy, nil }
	case p.environment:
		return p.fromEnvironment(getenv)
	}
	return nil
}

// fromEnvironment reads the variables that many programs know, in both of their
// forms.
func (p *Proxy) fromEnvironment(getenv func(string) string) error {
	read := func(upper, lower string) string {
		if text := getenv(upper); text != "" {
			return text
		}
		return getenv(lower)
	}
	c := httpproxy.Config{
		HTTPProxy: read("HTTP_PROXY", "http_proxy"), HTTPSProxy: read("HTTPS_PROXY", "https_proxy"), NoProxy: read("NO_PROXY", "no_proxy"),
	}
	p.find = c.ProxyFunc()
	for _, scheme := range []string{"http", "https"} {
		proxy, err := p.find(&url.URL{Scheme: scheme, Host: "public.example"})
		if err == nil && proxy == nil {
			continue
		}
		if err != nil || !isProxy(proxy) {
			return fmt.Errorf("the environment's proxy for %s: want http://host:port or https://host:port", scheme)
		}
	}
	return nil
}
