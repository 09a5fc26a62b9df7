package config

import (
	"strings"
	"testing"
)

func TestSampleAPI(t *testing.T) {
	t.Parallel()
	c, err := ParseSampleAPI(input("--health-check", "CALLFLEET_SAMPLE_LISTEN=0.0.0.0:9000", "CALLFLEET_LOG_FORMAT=json"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "0.0.0.0:9000" || !c.HealthCheck || c.Log.Format != "json" {
		t.Errorf("settings are %+v", c)
	}
	_, err = ParseSampleAPI(input("--log-format xml", "CALLFLEET_SAMPLE_LISTEN=9000"))
	if err == nil || !strings.Contains(err.Error(), "CALLFLEET_SAMPLE_LISTEN") || !strings.Contains(err.Error(), "CALLFLEET_LOG_FORMAT") {
		t.Errorf("error = %v, want both mistakes", err)
	}
}

func TestSamplesElsewhere(t *testing.T) {
	t.Parallel()
	for samples, want := range map[string]string{
		"on": "", "auto": "", "http://sampleapi:8089": "sampleapi:8089", "http://127.0.0.1:1": "127.0.0.1:1",
	} {
		c, err := ParseStepFunctions(input("", "CALLFLEET_SAMPLES="+samples))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.SamplesAt(); got != want || c.ServesSamples() && want != "" {
			t.Errorf("samples %s are at %q, want %q; served here: %t", samples, got, want, c.ServesSamples())
		}
	}
	for _, samples := range []string{"yes", "http://", "http://api", "http://:8089", "https://api:443", "http://api:80/v1", "http://me:x@api:80"} {
		if _, err := ParseStepFunctions(input("--samples " + samples)); err == nil || !strings.Contains(err.Error(), "--samples (CALLFLEET_SAMPLES)") {
			t.Errorf("samples %s: error = %v, want one that names the setting", samples, err)
		}
	}
}
