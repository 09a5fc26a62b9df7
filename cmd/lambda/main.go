// Command lambda makes one templated API call for each event of AWS Lambda.
package main

import (
	"context"
	"os"

	"callfleet/internal/app/lambda"
)

func main() {
	os.Exit(lambda.Main(context.Background(), lambda.Input(), os.Stderr))
}
