package config

import (
	"fmt"
	"time"

	"callfleet/internal/httpcall/egress"
)

// Lambda are the settings of cmd/lambda: variables alone, because a function
// has no command line.
type Lambda struct {
	HTTPTimeout time.Duration
	Claims      Claims // without BlobExpiry: a function makes no bucket
	Egress      Egress
	Log         Log
	RuntimeAPI  string // host:port where AWS Lambda hands out the events
}

// variable is one setting that has no flag.
type variable struct {
	name, fallback, help string
	set                  func(text string) error
}

func (c *Lambda) variables(getenv func(string) string) []variable {
	return []variable{
		{"CALLFLEET_HTTP_TIMEOUT", "30s", "One attempt of a call; less than the timeout of the function.",
			into(&c.HTTPTimeout, parseDuration, func(d time.Duration) error {
				return unless(d > 0, "want more than 0, not %s", d)
			})},
		{"CALLFLEET_BLOBS", "", "Bucket of bodies that are too large to travel, such as s3://bucket; unset, a larger answer fails.",
			into(&c.Claims.Blobs, parseTarget, func(t Target) error {
				return unless(t.IsZero() || t.Scheme() == "s3" && hasHost(t.URL()), "want the form s3://bucket, the only store that a function has, not %s", t)
			})},
		{"CALLFLEET_CLAIM_ABOVE", "204800", "Largest body of an answer that travels, in bytes; Step Functions takes 256 KiB with all around it.",
			into(&c.Claims.ClaimAbove, parseInt, func(n int) error {
				return unless(1 <= n && n <= maxClaimAbove, "want 1 to %d, what Step Functions takes with room for headers, not %d", maxClaimAbove, n)
			})},
		{"CALLFLEET_BLOB_LIMIT", "100000000", "Largest body that is kept, in bytes.",
			into(&c.Claims.BlobLimit, parseInt, func(n int) error { return unless(n >= 1, "want 1 or more, not %d", n) })},
		{egress.AllowSetting, "", "Hosts, *.domains, addresses and networks that calls may go to although they are not public, each with an optional :port.",
			into(&c.Egress.Allow, parseEgressRules, nil)},
		{egress.DenySetting, "", "The same for what they may not go to, whatever else is allowed.",
			into(&c.Egress.Deny, parseEgressRules, nil)},
		{egress.PortsSetting, egress.DefaultPorts().String(), "Ports that are open, where a rule names none.",
			into(&c.Egress.Ports, parseEgressPorts, nil)},
		{egress.DefaultSetting, "public", "Where calls may go that no rule is about: public (every public address) or none.",
			into(&c.Egress.Default, parseText, func(s string) error {
				return unless(s == "public" || s == "none", "want public or none, not %q", s)
			})},
		{egress.ProxySetting, "", "HTTP proxy for all calls: its URL, or environment for what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.",
			into(&c.Egress.Proxy, parseProxy, func(Proxy) error { return c.Egress.Proxy.complete(getenv) })},
		{"CALLFLEET_LOG_LEVEL", "info", "Least level that is logged: debug, info, warn or error.",
			into(&c.Log.Level, parseLevel, nil)},
		{"CALLFLEET_LOG_FORMAT", "json", "Form of a log line: text or json.",
			into(&c.Log.Format, parseText, func(s string) error {
				return unless(s == "text" || s == "json", "want text or json, not %q", s)
			})},
		{"AWS_LAMBDA_RUNTIME_API", "", "Set by AWS Lambda, which starts this program.",
			into(&c.RuntimeAPI, parseText, func(s string) error {
				return unless(s != "", "is not set: AWS Lambda sets it and starts this program (docs/lambda.md); it does nothing by itself")
			})},
	}
}

// into stores what parse makes of a text, when check has nothing against it.
func into[T any](target *T, parse func(string) (any, error), check func(T) error) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		if err != nil {
			return err
		}
		*target = v.(T)
		if check == nil {
			return nil
		}
		return check(*target)
	}
}

func parseText(text string) (any, error) { return text, nil }

func unless(good bool, format string, args ...any) error {
	if good {
		return nil
	}
	return fmt.Errorf(format, args...)
}

const lambdaHelp = `Make one templated API call for each event of AWS Lambda: {"template": <DynamoDB item>, "params": {…}}.

It has no flags. AWS Lambda starts it as "bootstrap" (docs/lambda.md) and sets these variables, and the standard OTEL_* ones:

`

// ParseLambda returns the settings of cmd/lambda; the error is ErrHelp or an
// *UsageError.
func ParseLambda(in Input) (*Lambda, error) {
	c := &Lambda{}
	if len(in.Args) == 1 && in.Args[0] == "--help" {
		fmt.Fprint(in.Stdout, lambdaHelp)
		for _, v := range c.variables(in.Getenv) {
			fmt.Fprintf(in.Stdout, "  %-26s%s", v.name, v.help)
			if v.fallback != "" {
				fmt.Fprintf(in.Stdout, " Unset, it is %s.", v.fallback)
			}
			fmt.Fprintln(in.Stdout)
		}
		return nil, ErrHelp
	}
	if len(in.Args) == 1 && in.Args[0] == "--version" {
		fmt.Fprintln(in.Stdout, in.Version)
		return nil, ErrHelp
	}
	var found []Problem
	if len(in.Args) > 0 {
		found = append(found, Problem{Message: fmt.Sprintf("unexpected argument %s: settings are environment variables", in.Args[0])})
	}
	for _, v := range c.variables(in.Getenv) {
		text := in.Getenv(v.name)
		if text == "" {
			text = v.fallback
		}
		if err := v.set(text); err != nil {
			found = append(found, Problem{v.name, err.Error()})
		}
	}
	if len(found) > 0 {
		return nil, &UsageError{Program: "lambda", Command: "lambda", Problems: found}
	}
	return c, nil
}
