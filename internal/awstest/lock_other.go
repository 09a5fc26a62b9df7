//go:build !unix

package awstest

import "context"

// lock does nothing where files know no advisory locks: of two processes that
// install at once, one fails, and finds the other's work the next time.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
