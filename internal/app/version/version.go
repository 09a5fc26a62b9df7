// Package version says which version of the project a binary is.
package version

import "runtime/debug"

// stamp is set by the linker, -X callfleet/internal/app/version.stamp=v1.2.3,
// where the module's own version is not known: in an image's build.
var stamp string

// Running is the version of the running binary: the one it was stamped with, or
// that of its module.
func Running() string {
	if stamp != "" {
		return stamp
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
