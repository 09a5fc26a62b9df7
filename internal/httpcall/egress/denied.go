package egress

import "net/netip"

// The settings that causes name.
const (
	AllowSetting   = "CALLFLEET_EGRESS_ALLOW"
	DenySetting    = "CALLFLEET_EGRESS_DENY"
	PortsSetting   = "CALLFLEET_EGRESS_PORTS"
	DefaultSetting = "CALLFLEET_EGRESS_DEFAULT"
	ProxySetting   = "CALLFLEET_EGRESS_PROXY"
)

// Denied is a place where a call may not go. It holds no secrets.
type Denied struct {
	Host    string     // of the URL
	Address netip.Addr // that the host has; the zero Addr when it was not looked up
	Reason  string     // the rule: "private (10.0.0.0/8)"
	WayOut  string     // the setting that allows it, "" when there is none
}

// Error is one line: the host, its address, the rule, and what allows it.
func (d *Denied) Error() string {
	text := "egress denied: " + d.Host
	if d.Address.IsValid() && d.Address.String() != d.Host {
		text += ", at " + d.Address.String() + ","
	}
	text += " is " + d.Reason
	if d.WayOut != "" {
		text += "; " + d.WayOut
	}
	return text
}
