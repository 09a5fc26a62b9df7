// Command worker is a fleet member: it starts executions, makes calls, or both.
package main

import (
	"context"
	"os"

	"callfleet/internal/app/fleet"
	"callfleet/internal/app/program"
)

func main() {
	os.Exit(fleet.Main(context.Background(), program.Input(), os.Stderr))
}
