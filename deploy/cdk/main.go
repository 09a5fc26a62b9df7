// Command cdk is the CDK app of Callfleet: everything that the fleet needs on
// AWS, as one stack. deploy/README.md tells how to use it.
package main

import (
	"fmt"
	"os"

	"github.com/aws/jsii-runtime-go"

	"callfleet/deploy/cdk/internal/stack"
)

func main() {
	defer jsii.Close()
	app, _, err := stack.NewApp(stack.Options{Root: "../.."})
	if err != nil {
		fmt.Fprintln(os.Stderr, "cdk:", err)
		os.Exit(1)
	}
	app.Synth(nil)
}
