package store

import "testing"

func TestCanonicalNumber(t *testing.T) {
	t.Parallel()
	for want, texts := range map[string][]string{
		"0": {"0", "-0", "0.00", "0e7", "", "00"}, "15e1": {"150", "1.50e2", "0150.0", "+150", "15E+1", "1500e-1"}, "-1e-7": {"-0.0000001", "-1e-7", "-10E-8"},
		"12345678901234567890123456789012345678e0": {"12345678901234567890123456789012345678"}, "1ex": {"1ex"},
	} {
		for _, text := range texts {
			if got := CanonicalNumber(text); got != want {
				t.Errorf("CanonicalNumber(%q) = %q, want %q", text, got, want)
			}
		}
	}
}
