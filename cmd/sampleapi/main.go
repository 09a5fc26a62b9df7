// Command sampleapi serves an HTTP API to try calls on.
package main

import (
	"context"
	"os"

	"callfleet/internal/app/program"
	"callfleet/internal/app/sample"
)

func main() {
	os.Exit(sample.Main(context.Background(), program.Input(), os.Stderr))
}
