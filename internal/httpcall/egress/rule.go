package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Rule names hosts or addresses, on some ports or on all that are open.
type Rule struct {
	prefix netip.Prefix // of addresses; zero for names
	name   string       // host name; with suffix, "." and the domain that hosts are below
	suffix bool
	ports  Ports // nil: those of the policy
	text   string
}

// Rules are a list of rules.
type Rules []Rule

// Ports are ranges of ports.
type Ports []PortRange

// PortRange is First, Last and all ports between them.
type PortRange struct{ First, Last uint16 }

// DefaultPorts are the ports that are open unless something else is said: the
// two of the web and those that no well-known service has.
func DefaultPorts() Ports { return Ports{{80, 80}, {443, 443}, {1024, 65535}} }

// ParseRules reads rules separated by commas: a host name, *.domain for the
// names below it, an address, or a network in CIDR form, each with an optional
// :port or :first-last; IPv6 with a port goes into brackets. The error names
// every mistake.
func ParseRules(text string) (Rules, error) {
	var rules Rules
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		r, err := parseRule(part)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", part, err))
			continue
		}
		rules = append(rules, r)
	}
	return rules, joined(errs)
}

// joined is errors.Join on one line.
func joined(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

var errRule = errors.New("want a host, *.domain, an address or a network such as 10.0.0.0/8, with an optional :port")

func parseRule(text string) (Rule, error) {
	r := Rule{text: text}
	if ok, err := r.takeAddress(text); ok || err != nil {
		return r, err
	}
	place, ports := text, ""
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok && text[0] == '[' {
		place, ports = inner, strings.TrimPrefix(rest, ":")
		if rest != "" && rest[0] != ':' {
			return r, errRule
		}
	} else if i := strings.LastIndexByte(text, ':'); i >= 0 {
		place, ports = text[:i], text[i+1:]
	}
	if place != text && strings.HasSuffix(text, ":") {
		return r, errRule
	}
	if ports != "" {
		one, err := parsePortRange(ports)
		if err != nil {
			return r, err
		}
		r.ports = Ports{one}
	}
	if ok, err := r.takeAddress(place); ok || err != nil {
		return r, err
	}
	if text[0] == '[' {
		return r, errRule
	}
	return r, r.takeName(place)
}

// takeAddress reports whether text is an address or a network.
func (r *Rule) takeAddress(text string) (bool, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		if a.Zone() != "" {
			return false, errors.New("a zone means nothing here")
		}
		a = a.Unmap()
		r.prefix = netip.PrefixFrom(a, a.BitLen())
		return true, nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return false, nil
	case p.Addr().Is4In6():
		return false, errors.New("want an IPv4 network in IPv4's form")
	case p != p.Masked():
		return false, fmt.Errorf("want %s, or the address alone", p.Masked())
	}
	r.prefix = p
	return true, nil
}

func (r *Rule) takeName(text string) error {
	name, below := strings.CutPrefix(text, "*.")
	clean, err := cleanHost(name, false)
	if err != nil {
		return errRule
	}
	if _, err := netip.ParseAddr(clean); err == nil { // *.10.0.0.1, or one in another script
		return errRule
	}
	r.name, r.suffix = clean, below
	if below {
		r.name = "." + clean
	}
	return nil
}

// ParsePorts reads ports and ranges separated by commas: 80,443,8000-8999.
func ParsePorts(text string) (Ports, error) {
	var ports Ports
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		p, err := parsePortRange(strings.TrimSpace(part))
		if err != nil {
			errs = append(errs, err)
		}
		ports = append(ports, p)
	}
	return ports, joined(errs)
}

func parsePortRange(text string) (PortRange, error) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errA != nil || errB != nil || a == 0 || a > b {
		return PortRange{}, fmt.Errorf("want a port from 1 to 65535, or a range such as 8000-8999, not %q", text)
	}
	return PortRange{uint16(a), uint16(b)}, nil
}

// String is the form that ParseRules takes.
func (r Rule) String() string { return r.text }

// String is the form that ParsePorts takes.
func (p Ports) String() string {
	texts := make([]string, len(p))
	for i, r := range p {
		texts[i] = strconv.Itoa(int(r.First))
		if r.Last != r.First {
			texts[i] += "-" + strconv.Itoa(int(r.Last))
		}
	}
	return strings.Join(texts, ",")
}

func (p Ports) contains(port uint16) bool {
	for _, r := range p {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return false
}

// onPort reports whether the rule is about a port; open are those that a rule
// without a port is about, nil for all.
func (r Rule) onPort(port uint16, open Ports) bool {
	if r.ports == nil {
		return open == nil || open.contains(port)
	}
	return r.ports.contains(port)
}

func (r Rule) matchesName(host string) bool {
	if r.suffix {
		return strings.HasSuffix(host, r.name)
	}
	return r.name != "" && host == r.name
}

// matchesAddress takes unmapped addresses; the zero Addr matches nothing.
func (r Rule) matchesAddress(a netip.Addr) bool { return r.prefix.IsValid() && r.prefix.Contains(a) }

// single reports whether the rule is for one address.
func (r Rule) single() bool { return r.prefix.IsSingleIP() }
