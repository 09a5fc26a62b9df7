// Command stepfunctions serves the Step Functions API on JetStream.
package main

import (
	"context"
	"os"

	"callfleet/internal/app/local"
	"callfleet/internal/app/program"
)

func main() {
	os.Exit(local.Main(context.Background(), program.Input(), os.Stderr))
}
