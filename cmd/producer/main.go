// Command producer publishes templated API calls, collects what came of them,
// and manages templates and executions.
package main

import (
	"context"
	"os"

	"callfleet/internal/app/cli"
	"callfleet/internal/app/program"
)

func main() {
	os.Exit(cli.Main(context.Background(), program.Input(), cli.Process()))
}
