package lint

import (
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// Names that say nothing of what a package provides.
var emptyNames = []string{"util", "utils", "common", "models", "types", "core", "helper", "helpers", "misc", "shared", "base"}

// packageBreaches wants a package comment in exactly one file, a name that
// says something, no init and no import for its side effects.
func packageBreaches(files []*File) []finding {
	var found []finding
	comments := make(map[string][]string)
	first := make(map[string]*File)
	for _, f := range files {
		found = append(found, sideEffects(f)...)
		if f.IsTest() {
			continue
		}
		if first[f.Dir()] == nil {
			first[f.Dir()] = f
		}
		if slices.Contains(emptyNames, f.AST.Name.Name) {
			found = append(found, finding{f.Path, at(f, f.Line(f.AST.Name), "package name %s says nothing: name it after what it provides", f.AST.Name.Name)})
		}
		if doc := f.AST.Doc; doc != nil {
			comments[f.Dir()] = append(comments[f.Dir()], f.Path)
			want := "Package " + f.AST.Name.Name + " "
			if f.AST.Name.Name == "main" {
				want = "Command " + path.Base(f.Dir()) + " "
			}
			if !strings.HasPrefix(doc.Text(), want) {
				found = append(found, finding{f.Path, at(f, f.Line(doc), "package comment must begin with %q", want)})
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(first)) {
		if n := len(comments[dir]); n != 1 {
			found = append(found, finding{dir, at(first[dir], 1, "package comment in %d files %v, want exactly one", n, comments[dir])})
		}
	}
	return found
}

func sideEffects(f *File) []finding {
	var found []finding
	for _, decl := range f.AST.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			found = append(found, finding{f.Path + " init", at(f, f.Line(fn), "no init: what a package needs it is given")})
		}
	}
	for _, spec := range f.AST.Imports {
		if spec.Name != nil && spec.Name.Name == "_" && spec.Path.Value != `"embed"` {
			found = append(found, finding{f.Path + " _", at(f, f.Line(spec), "no registration by import: %s", spec.Path.Value)})
		}
	}
	return found
}

func TestPackages(t *testing.T) {
	t.Parallel()
	report(t, packageBreaches(load(t)), nil)
}

func TestPackagesCanFail(t *testing.T) {
	t.Parallel()
	const good = "// Package p is planted.\npackage p\n"
	for name, row := range map[string]struct {
		texts []string
		want  int
	}{
		"good":           {[]string{good, "package p\n"}, 0},
		"no comment":     {[]string{"package p\n"}, 1},
		"two comments":   {[]string{good, good}, 1},
		"other wording":  {[]string{"// This is p.\npackage p\n"}, 1},
		"empty name":     {[]string{"// Package util is planted.\npackage util\n"}, 1},
		"init":           {[]string{good + "\nfunc init() {}\n"}, 1},
		"method init":    {[]string{good + "\nfunc (x) init() {}\n"}, 0},
		"side effect":    {[]string{good + "\nimport _ \"net/http/pprof\"\n"}, 1},
		"embed":          {[]string{good + "\nimport _ \"embed\"\n"}, 0},
		"main":           {[]string{"// Command p runs.\npackage main\n"}, 0},
		"main as a pack": {[]string{"// Package main runs.\npackage main\n"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var files []*File
			for i, text := range row.texts {
				files = append(files, plant(t, "p/"+string(rune('a'+i))+".go", text)...)
			}
			if got := packageBreaches(files); len(got) != row.want {
				t.Errorf("%d findings, want %d: %v", len(got), row.want, got)
			}
		})
	}
}
