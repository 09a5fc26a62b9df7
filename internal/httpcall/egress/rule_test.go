package egress

import (
	"slices"
	"strings"
	"testing"
)

func TestParseRules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "",
		" , ":                      "",
		"a.example, *.b.example:1": "a.example,*.b.example:1",
		"10.0.0.0/8,10.1.2.3:80":   "10.0.0.0/8,10.1.2.3:80",
		"10.0.0.0/8:8000-8999":     "10.0.0.0/8:8000-8999",
		"::1,fd00::/8,[::1]:80":    "::1,fd00::/8,[::1]:80",
		"[fd00::/8]:443,[::1]":     "[fd00::/8]:443,[::1]",
	} {
		rules, err := ParseRules(text)
		texts := make([]string, len(rules))
		for i, r := range rules {
			texts[i] = r.String()
		}
		if got := strings.Join(texts, ","); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"*": "want a host", "*.": "want a host", "a b": "want a host", "a:b": "want a port", "a:": "want a host", "http://a": "want a port", "a/": "want a host",
		"a:0": "want a port", "a:90-80": "want a port", "a:65536": "want a port", "10.0.0.1/8": "want 10.0.0.0/8", "10.0.0.0/33": "want a host",
		"127.1": "want a host", "0x7f.1": "want a host", "*.10.0.0.1": "want a host", "[::1": "want a host", "[::1]80": "want a host", "[a]:80": "want a host",
		"fe80::1%eth0": "zone", "::ffff:10.0.0.0/104": "IPv4's form", "a.*.b": "want a host", "a@b": "want a host",
	} {
		if rules, err := ParseRules(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, %v, want it refused: %s", text, rules, err, want)
		}
	}
	_, err := ParseRules("a,*,b:0,10.0.0.0/8")
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), `"*": want`) || !strings.Contains(err.Error(), `"b:0": want`) {
		t.Errorf("got %v, want both mistakes on one line", err)
	}
}

func TestParsePorts(t *testing.T) {
	t.Parallel()
	got, err := ParsePorts("80, 443,1024-65535")
	if err != nil || !slices.Equal(got, DefaultPorts()) || got.String() != "80,443,1024-65535" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "80,", "0", "65536", "a", "90-80", "-", "80-", "+80", "٨٠"} {
		if got, err := ParsePorts(text); err == nil {
			t.Errorf("%q is %v, want it refused", text, got)
		}
	}
}

func FuzzRules(f *testing.F) {
	for _, seed := range []string{"a.example:80,*.b", "10.0.0.0/8:1-2", "[fd00::/8]:443", "::1", "*.é:1", "[", "]:", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := ParseRules(text)
		if err != nil {
			return
		}
		for _, r := range rules {
			if r.name == "" && !r.prefix.IsValid() {
				t.Errorf("%q has a rule about nothing", text)
			}
			if again, err := ParseRules(r.String()); err != nil || len(again) != 1 || again[0].prefix != r.prefix || again[0].name != r.name {
				t.Errorf("%q has rule %q, which is read as %v, %v", text, r, again, err)
			}
		}
	})
}
