package cli

import (
	"os"
	"strings"

	"callfleet/internal/app/local"
)

// lintFile returns what is wrong with a state machine (*.asl.json) or a
// template (any other *.json).
func lintFile(file string) ([]string, error) {
	if !strings.HasSuffix(file, ".asl.json") {
		_, err := readTemplate(file)
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return local.Lint(text), nil
}
