// Command cdk is the CDK app of Callfleet: everything that the fleet needs on
// AWS, as one stack. deploy/README.md tells how to use it.
package main

import (
	"fmt"
	"os"

	"callfleet/deploy/cdk/internal/stack"

	"github.com/aws/jsii-runtime-go"
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
