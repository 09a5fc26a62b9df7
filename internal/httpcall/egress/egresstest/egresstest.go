// Package egresstest is test support: the policy under which calls reach the
// servers of a test.
package egresstest

import "callfleet/internal/httpcall/egress"

// Allow is the setting (CALLFLEET_EGRESS_ALLOW) of that policy, for programs
// that a test starts.
const Allow = "127.0.0.0/8:1-65535,[::1]:1-65535"

// Setting is Allow as a variable of a process.
const Setting = egress.AllowSetting + "=" + Allow

// Getenv is an environment with Setting alone.
func Getenv(name string) string {
	if name == egress.AllowSetting {
		return Allow
	}
	return ""
}

// Loopback is a policy that allows this machine's own addresses, on every port.
func Loopback() *egress.Policy {
	rules, err := egress.ParseRules(Allow)
	if err != nil {
		panic("egresstest: " + err.Error())
	}
	return egress.New(egress.Options{Allow: rules})
}
