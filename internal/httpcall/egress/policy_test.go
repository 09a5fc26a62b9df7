package egress

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func rules(t *testing.T, text string) Rules {
	t.Helper()
	r, err := ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// judge asks as a dialler does: the name, then one of its addresses.
func judge(p *Policy, host string, at netip.AddrPort) error {
	target, err := p.Target(host, at.Port())
	if err != nil {
		return err
	}
	return target.Address(at.Addr())
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	const public, private = "93.184.215.14:443", "10.1.2.3:443"
	type settings struct{ allow, deny, ports, fallback string }
	for name, row := range map[string]struct {
		settings settings
		host, at string
		denied   string // part of the error; "" is allowed
	}{
		"public":                     {settings{}, "api.example", public, ""},
		"public port":                {settings{}, "api.example", "93.184.215.14:8080", ""},
		"private":                    {settings{}, "api.example", private, "private (10.0.0.0/8)"},
		"closed port":                {settings{}, "api.example", "93.184.215.14:25", "on port 25: open are 80,443,1024-65535"},
		"ports":                      {settings{ports: "443"}, "api.example", "93.184.215.14:8080", "on port 8080: open are 443"},
		"allowed network":            {settings{allow: "10.0.0.0/8"}, "api.example", private, ""},
		"allowed address":            {settings{allow: "10.1.2.3"}, "api.example", private, ""},
		"other address":              {settings{allow: "10.1.2.4"}, "api.example", private, "private"},
		"allowed port":               {settings{allow: "10.0.0.0/8:443"}, "api.example", private, ""},
		"other port":                 {settings{allow: "10.0.0.0/8:8443"}, "api.example", private, "private"},
		"port that a rule opens":     {settings{allow: "10.0.0.0/8:22"}, "api.example", "10.1.2.3:22", ""},
		"port that no rule opens":    {settings{allow: "10.0.0.0/8"}, "api.example", "10.1.2.3:22", "private"},
		"port of a public name":      {settings{allow: "api.example:25"}, "api.example", "93.184.215.14:25", ""},
		"port of another name":       {settings{allow: "api.example:25"}, "b.example", "93.184.215.14:25", "on port 25"},
		"allowed name":               {settings{allow: "api.example"}, "api.example", private, ""},
		"allowed below":              {settings{allow: "*.example"}, "api.example", private, ""},
		"not itself":                 {settings{allow: "*.example"}, "example", private, "private"},
		"not a suffix of letters":    {settings{allow: "*.example"}, "badexample", private, "private"},
		"name in front":              {settings{allow: "api.example"}, "api.example.evil.test", private, "private"},
		"named link-local":           {settings{allow: "api.example"}, "api.example", "169.254.1.1:80", "link-local (169.254.0.0/16); CALLFLEET_EGRESS_ALLOW=169.254.1.1:80 allows it"},
		"allowed link-local":         {settings{allow: "169.254.0.0/16"}, "api.example", "169.254.1.1:80", ""},
		"named metadata":             {settings{allow: "api.example"}, "api.example", "169.254.169.254:80", "metadata"},
		"metadata in a network":      {settings{allow: "0.0.0.0/0,169.254.0.0/16"}, "169.254.169.254", "169.254.169.254:80", "metadata"},
		"metadata by its address":    {settings{allow: "169.254.169.254"}, "169.254.169.254", "169.254.169.254:80", ""},
		"metadata, unique-local":     {settings{allow: "fd00::/8"}, "api.example", "[fd00:ec2::254]:80", "metadata"},
		"named unspecified":          {settings{allow: "api.example"}, "api.example", "0.0.0.0:80", "unspecified"},
		"mapped":                     {settings{allow: "10.0.0.0/8"}, "api.example", "[::ffff:10.1.2.3]:80", ""},
		"mapped, not allowed":        {settings{}, "api.example", "[::ffff:10.1.2.3]:80", "private"},
		"NAT64, allowed":             {settings{allow: "10.0.0.0/8"}, "api.example", "[64:ff9b::a01:203]:80", ""},
		"NAT64, metadata":            {settings{allow: "0.0.0.0/0"}, "api.example", "[64:ff9b::a9fe:a9fe]:80", "metadata"},
		"6to4 is not IPv4":           {settings{allow: "10.0.0.0/8"}, "api.example", "[2002:a01:203::1]:80", "6to4"},
		"IPv4's rule, IPv6":          {settings{allow: "0.0.0.0/0"}, "api.example", "[::1]:80", "loopback"},
		"denied name":                {settings{deny: "api.example"}, "api.example", public, "denied by api.example of CALLFLEET_EGRESS_DENY"},
		"denied below":               {settings{deny: "*.example"}, "a.b.example", public, "denied by *.example"},
		"denied network":             {settings{deny: "93.184.0.0/16"}, "api.example", public, "denied by 93.184.0.0/16"},
		"denied port":                {settings{deny: "api.example:443"}, "api.example", public, "denied by"},
		"another port denied":        {settings{deny: "api.example:80"}, "api.example", public, ""},
		"denied on every port":       {settings{deny: "api.example", allow: "api.example:22"}, "api.example", "93.184.215.14:22", "denied by"},
		"deny wins over allow":       {settings{deny: "10.1.0.0/16", allow: "10.0.0.0/8,api.example"}, "api.example", private, "denied by 10.1.0.0/16"},
		"deny wins over the same":    {settings{deny: "api.example", allow: "api.example"}, "api.example", public, "denied by"},
		"denied, mapped":             {settings{deny: "8.8.8.8"}, "api.example", "[::ffff:8.8.8.8]:443", "denied by 8.8.8.8"},
		"denied, NAT64":              {settings{deny: "8.8.8.8"}, "api.example", "[64:ff9b::808:808]:443", "denied by 8.8.8.8"},
		"denied, 6to4":               {settings{deny: "8.8.8.8", allow: "2002::/16"}, "api.example", "[2002:808:808::1]:443", "denied by 8.8.8.8"},
		"denied, Teredo":             {settings{deny: "8.8.8.8", allow: "2001::/32"}, "api.example", "[2001::f7f7:f7f7]:443", "denied by 8.8.8.8"},
		"nothing unless allowed":     {settings{fallback: "none"}, "api.example", public, "allowed by no rule, and CALLFLEET_EGRESS_DEFAULT is none; CALLFLEET_EGRESS_ALLOW=api.example:443 allows it"},
		"allowed, nothing else":      {settings{fallback: "none", allow: "api.example"}, "api.example", public, ""},
		"allowed, by network":        {settings{fallback: "none", allow: "93.184.0.0/16"}, "api.example", public, ""},
		"allowed, but not this port": {settings{fallback: "none", allow: "api.example:80"}, "api.example", public, "allowed by no rule"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Allow: rules(t, row.settings.allow), Deny: rules(t, row.settings.deny), OnlyAllowed: row.settings.fallback == "none"}
			if row.settings.ports != "" {
				var err error
				if o.Ports, err = ParsePorts(row.settings.ports); err != nil {
					t.Fatal(err)
				}
			}
			err := judge(New(o), row.host, netip.MustParseAddrPort(row.at))
			if row.denied == "" && err == nil {
				return
			}
			var denied *Denied
			if row.denied == "" || !errors.As(err, &denied) || !strings.Contains(err.Error(), row.denied) {
				t.Errorf("got %v, want %q", err, row.denied)
			}
		})
	}
}

func TestCauses(t *testing.T) {
	t.Parallel()
	p := New(Options{Deny: rules(t, "*.bad.example")})
	for host, row := range map[string]struct{ at, want string }{
		"db.example": {"10.1.2.3:8080", "egress denied: db.example, at 10.1.2.3, is private (10.0.0.0/8); CALLFLEET_EGRESS_ALLOW=db.example:8080 allows it"},
		"10.1.2.3":   {"10.1.2.3:80", "egress denied: 10.1.2.3 is private (10.0.0.0/8); CALLFLEET_EGRESS_ALLOW=10.1.2.3:80 allows it"},
		"::1":        {"[::1]:80", "egress denied: ::1 is loopback (::1/128); CALLFLEET_EGRESS_ALLOW=[::1]:80 allows it"},
		"m.example": {"169.254.169.254:80",
			"egress denied: m.example, at 169.254.169.254, is a cloud's metadata service (169.254.169.254/32); CALLFLEET_EGRESS_ALLOW=169.254.169.254:80 allows it"},
		"v6.example": {"[64:ff9b::a00:1]:80", "egress denied: v6.example, at 64:ff9b::a00:1, is private, as 10.0.0.1 within IPv6 (10.0.0.0/8); CALLFLEET_EGRESS_ALLOW=v6.example:80 allows it"},
		"mail.example": {"93.184.215.14:25",
			"egress denied: mail.example, at 93.184.215.14, is not to be called on port 25: open are 80,443,1024-65535; CALLFLEET_EGRESS_ALLOW=mail.example:25 allows it, or the port in CALLFLEET_EGRESS_PORTS for all"},
		"a.bad.example": {"93.184.215.14:80", "egress denied: a.bad.example is denied by *.bad.example of CALLFLEET_EGRESS_DENY"},
	} {
		at := netip.MustParseAddrPort(row.at)
		err := judge(p, host, at)
		if err == nil || err.Error() != row.want {
			t.Errorf("got\n%v\nwant\n%s", err, row.want)
			continue
		}
		_, setting, _ := strings.Cut(row.want, AllowSetting+"=")
		setting, _, _ = strings.Cut(setting, " ")
		if setting == "" {
			continue
		}
		if err := judge(New(Options{Allow: rules(t, setting)}), host, at); err != nil {
			t.Errorf("the setting that the cause names does not allow it: %v", err)
		}
	}
}

// Behind a proxy nobody sees an address: names that no public DNS has are
// refused by themselves.
func TestProxied(t *testing.T) {
	t.Parallel()
	for host, row := range map[string]struct{ allow, denied string }{
		"api.example.com":          {"", ""},
		"93.184.215.14":            {"", ""},
		"10.1.2.3":                 {"", "private"},
		"::1":                      {"", "loopback"},
		"169.254.169.254":          {"0.0.0.0/0", "metadata"},
		"localhost":                {"", "a private network"},
		"db":                       {"", "a private network"},
		"a.localhost":              {"", "a private network"},
		"metadata.google.internal": {"", "a private network"},
		"printer.local":            {"", "a private network"},
		"nas.home.arpa":            {"", "a private network"},
		"db.corp":                  {"db.corp", ""},
		"a.corp":                   {"*.corp:443", ""},
		"b.corp":                   {"*.corp:8443", "a private network"},
	} {
		target, err := New(Options{Allow: rules(t, row.allow)}).Target(host, 443)
		if err != nil {
			t.Fatal(err)
		}
		err = target.Proxied()
		if (err == nil) != (row.denied == "") || err != nil && !strings.Contains(err.Error(), row.denied) {
			t.Errorf("%s: got %v, want %q", host, err, row.denied)
		}
	}
	p := New(Options{OnlyAllowed: true, Ports: Ports{{First: 443, Last: 443}}})
	for port, want := range map[uint16]string{443: "allowed by no rule", 80: "on port 80"} {
		target, err := p.Target("api.example.com", port)
		if err == nil {
			err = target.Proxied()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("port %d: got %v, want %q", port, err, want)
		}
	}
	if proxy, err := p.Proxy(&url.URL{}); proxy != nil || err != nil {
		t.Errorf("a policy without a proxy has %v, %v", proxy, err)
	}
}

// What a rule allows is for templates: a public server cannot send a call there.
func TestRedirected(t *testing.T) {
	t.Parallel()
	open := New(Options{Allow: rules(t, "10.0.0.0/8,db.corp,api.example:25,169.254.169.254")})
	strict := open.Redirected()
	for _, row := range []struct{ host, at string }{
		{"10.1.2.3", "10.1.2.3:80"}, {"db.corp", "192.168.1.1:80"}, {"api.example", "10.1.2.3:80"}, {"169.254.169.254", "169.254.169.254:80"},
	} {
		at := netip.MustParseAddrPort(row.at)
		if err := judge(open, row.host, at); err != nil {
			t.Errorf("%s at %s, by its own URL: %v", row.host, at, err)
		}
		if err := judge(strict, row.host, at); err == nil || !strings.Contains(err.Error(), "a redirect by a public server does not lead there; call it by its own URL") {
			t.Errorf("%s at %s, by a redirect: %v", row.host, at, err)
		}
	}
	for _, at := range []string{"93.184.215.14:443", "93.184.215.14:25"} { // a public address stays what it is
		if err := judge(strict, "api.example", netip.MustParseAddrPort(at)); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
	target, err := strict.Target("db.corp", 80)
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Proxied(); err == nil {
		t.Error("a redirect leads to db.corp behind a proxy")
	}
	for host, row := range map[string]struct {
		at   string
		want bool
	}{
		"api.example.com": {"", false}, "db.corp": {"", true}, "nas.local": {"", true}, "10.0.0.1": {"", true}, "93.184.215.14": {"", false},
		"a.example.com": {"93.184.215.14", false}, "b.example.com": {"10.0.0.1", true}, "c.example.com": {"::ffff:127.0.0.1", true},
	} {
		at, _ := netip.ParseAddr(row.at)
		if got := open.Inside(&url.URL{Scheme: "http", Host: host}, at); got != row.want {
			t.Errorf("%s at %q is inside: %t, want %t", host, row.at, got, row.want)
		}
	}
}
