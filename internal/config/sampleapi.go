package config

import "github.com/alecthomas/kong"

// SampleAPI is the command line of cmd/sampleapi.
type SampleAPI struct {
	Listen Address `help:"Address of the API, with /livez, /readyz and /metrics." env:"CALLFLEET_SAMPLE_LISTEN" default:"127.0.0.1:8089"`

	Probe `embed:""`
	Log   `embed:""`

	Version kong.VersionFlag `help:"Print the version."`
}

const sampleAPIHelp = `Serve an HTTP API to try calls on: /anything, /status, /delay, /flaky, /limited and what else go-httpbin has.

  sampleapi
  stepfunctions --samples http://127.0.0.1:8089`

// ParseSampleAPI returns the settings of cmd/sampleapi; the error is ErrHelp
// or an *UsageError.
func ParseSampleAPI(in Input) (*SampleAPI, error) {
	c := &SampleAPI{}
	_, err := in.parse(program{
		name: "sampleapi", description: sampleAPIHelp, target: c, vars: in.Schemes.vars(false),
		check: func(_ string, p *problems) { c.Log.check(p) },
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}
