// Package version says which version of the project a binary is.
package version

import "runtime/debug"

// Running is the version of the running binary: of its module, or the revision
// it was built from.
func Running() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
