// Package quickstart holds the templates of the quickstart, so that a program
// that embeds everything it needs can put them into its store.
package quickstart

import (
	"embed"
	"io/fs"
)

//go:generate go run generate.go

//go:embed templates/*.json
var files embed.FS

// Templates are the template files, "<name>.<METHOD>.json" at the root.
func Templates() fs.FS {
	sub, err := fs.Sub(files, "templates")
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}
